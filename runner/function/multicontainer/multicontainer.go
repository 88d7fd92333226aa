// Package multicontainer has the function MultiContainerRun: two commands beside
// each other in a new pod, which share a folder. The container background makes data
// and the container output takes it away, through a named pipe for instance; what
// output publishes are the outputs of the phase.
//
// # When it has ended
//
// The phase ends well once both have ended well. A dump that breaks off looks to its
// reader like one that is complete, so the good end of output alone says nothing.
// As in Kanister, output may end long before background; a background that never
// ends keeps the phase running, and what bounds that is the phase's deadline.
//
// When output fails, the phase fails at once. When background fails, output has half
// a minute left. Kanister comes to the same verdict, but only once both have ended:
// an output that waits for what its background never made leaves it waiting for ever.
package multicontainer

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// Names in the pod, which a podOverride can refer to.
const (
	Output     = "output"
	Background = "background"
	initName   = "init"
	shared     = "shared"
)

// New returns the function for one call.
func New() function.Function { return multiContainerRun{} }

type multiContainerRun struct{}

type arguments struct {
	BackgroundImage   string            `arg:"required"                     mapstructure:"backgroundImage"`
	BackgroundCommand []string          `arg:"required"                     mapstructure:"backgroundCommand"`
	OutputImage       string            `arg:"required"                     mapstructure:"outputImage"`
	OutputCommand     []string          `arg:"required"                     mapstructure:"outputCommand"`
	InitImage         string            `mapstructure:"initImage"`
	InitCommand       []string          `mapstructure:"initCommand"`
	Namespace         string            `mapstructure:"namespace"`
	Medium            string            `mapstructure:"sharedVolumeMedium"`
	SizeLimit         string            `mapstructure:"sharedVolumeSizeLimit"`
	Dir               string            `mapstructure:"sharedVolumeDir"`
	Override          map[string]any    `mapstructure:"podOverride"`
	Labels            map[string]string `mapstructure:"podLabels"`
	Annotations       map[string]string `mapstructure:"podAnnotations"`
}

// Execute runs the commands and returns what output published.
func (multiContainerRun) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	args := arguments{Dir: "/tmp/"}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	folder, err := args.folder()
	if err != nil {
		return nil, err
	}
	if args.InitImage == "" && len(args.InitCommand) > 0 {
		call.Log.Warn().Msg("initCommand is not used, because initImage is not set")
	}
	return call.Pods.Run(ctx, call, function.PodSpec{
		Namespace: args.Namespace, Image: args.OutputImage, Command: args.OutputCommand,
		Main: Output, Beside: []string{Background},
		Base:     func(spec *corev1.PodSpec) { args.extend(spec, folder) },
		Override: args.Override, Labels: args.Labels, Annotations: args.Annotations,
		Modify: func(pod *corev1.Pod) { pod.Labels["createdBy"] = "kanister" }, // here podLabels do not go before it
	})
}

// folder checks what would otherwise be found by the kubelet only, if at all.
func (a *arguments) folder() (*corev1.EmptyDirVolumeSource, error) {
	for name, image := range map[string]string{"backgroundImage": a.BackgroundImage, "outputImage": a.OutputImage} {
		if strings.TrimSpace(image) == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument %s is empty; name the image to run", name)
		}
	}
	if a.Dir == "" {
		return nil, function.Errorf(event.ReasonInvalid, "argument sharedVolumeDir is empty; name the path where the shared folder is mounted, or leave it out for /tmp/")
	}
	folder := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMedium(a.Medium)}
	known := []corev1.StorageMedium{corev1.StorageMediumDefault, corev1.StorageMediumMemory, corev1.StorageMediumHugePages}
	if !slices.Contains(known, folder.Medium) && !strings.HasPrefix(a.Medium, string(corev1.StorageMediumHugePagesPrefix)) {
		return nil, function.Errorf(event.ReasonInvalid, "argument sharedVolumeMedium must be Memory, HugePages, HugePages-<size> or nothing")
	}
	if a.SizeLimit != "" {
		limit, err := resource.ParseQuantity(a.SizeLimit)
		if err != nil || limit.Sign() < 0 {
			return nil, function.Errorf(event.ReasonInvalid, "argument sharedVolumeSizeLimit must be a quantity such as 1Gi or 500M")
		}
		folder.SizeLimit = &limit
	}
	return folder, nil
}

// extend adds to a pod that has the container output. As in Kanister, when an image
// is pulled is left to its tag.
func (a *arguments) extend(spec *corev1.PodSpec, folder *corev1.EmptyDirVolumeSource) {
	mounts := []corev1.VolumeMount{{Name: shared, MountPath: a.Dir}}
	output := &spec.Containers[0]
	output.ImagePullPolicy = ""
	output.VolumeMounts = append(output.VolumeMounts, mounts...)
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: shared, VolumeSource: corev1.VolumeSource{EmptyDir: folder}})
	spec.Containers = append(spec.Containers, corev1.Container{
		Name: Background, Image: a.BackgroundImage, Command: a.BackgroundCommand, VolumeMounts: mounts,
	})
	if a.InitImage != "" {
		spec.InitContainers = append(spec.InitContainers, corev1.Container{
			Name: initName, Image: a.InitImage, Command: a.InitCommand, VolumeMounts: mounts,
		})
	}
}

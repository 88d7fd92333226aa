package pods

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// labelEnforce on a namespace says which Pod Security level it enforces.
const (
	labelEnforce    = "pod-security.kubernetes.io/enforce"
	levelRestricted = "restricted"
)

const capabilityAll corev1.Capability = "ALL"

// secure fills in what the blueprint left open. Everywhere: the runtime's own
// seccomp profile, which no image notices. Only where the namespace enforces
// restricted: what the pod needs to be admitted; images that Kanister users have
// run as root, use sudo or file capabilities, and would break elsewhere.
func secure(spec *corev1.PodSpec, restricted bool) {
	if isWindows(spec) {
		return
	}
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.SecurityContext.SeccompProfile == nil && !anyPrivileged(spec) {
		spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	if !restricted {
		return
	}
	if spec.SecurityContext.RunAsNonRoot == nil {
		spec.SecurityContext.RunAsNonRoot = ptr.To(true)
	}
	for i := range spec.InitContainers {
		secureContainer(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		secureContainer(&spec.Containers[i])
	}
}

func secureContainer(c *corev1.Container) {
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	s := c.SecurityContext
	if s.AllowPrivilegeEscalation == nil && !privileged(c) {
		s.AllowPrivilegeEscalation = ptr.To(false)
	}
	if s.Capabilities == nil {
		s.Capabilities = &corev1.Capabilities{}
	}
	if !slices.Contains(s.Capabilities.Drop, capabilityAll) {
		s.Capabilities.Drop = append(s.Capabilities.Drop, capabilityAll)
	}
}

func anyPrivileged(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool { return privileged(&c) }) ||
		slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool { return privileged(&c) })
}

func privileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

func isWindows(spec *corev1.PodSpec) bool {
	return spec.OS != nil && spec.OS.Name == corev1.Windows || spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows)
}

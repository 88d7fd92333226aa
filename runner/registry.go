package runner

import (
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/csi"
	"github.com/salvor-io/salvor/runner/function/kubeexec"
	"github.com/salvor-io/salvor/runner/function/kubeops"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/locationdelete"
	"github.com/salvor-io/salvor/runner/function/multicontainer"
	"github.com/salvor-io/salvor/runner/function/preparedata"
	"github.com/salvor-io/salvor/runner/function/rds"
	"github.com/salvor-io/salvor/runner/function/restic"
	"github.com/salvor-io/salvor/runner/function/scale"
	"github.com/salvor-io/salvor/runner/function/wait"
)

// Functions returns every function that a blueprint can call.
func Functions() function.Registry {
	return function.Registry{
		"BackupData":                  restic.NewBackupData,
		"BackupDataAll":               restic.NewBackupDataAll,
		"BackupDataStats":             restic.NewBackupDataStats,
		"CheckRepository":             restic.NewCheckRepository,
		"CopyVolumeData":              restic.NewCopyVolumeData,
		"CreateCSISnapshot":           csi.NewCreate,
		"CreateCSISnapshotStatic":     csi.NewCreateStatic,
		"CreateRDSSnapshot":           rds.NewCreate,
		"DeleteCSISnapshot":           csi.NewDelete,
		"DeleteCSISnapshotContent":    csi.NewDeleteContent,
		"DeleteData":                  restic.NewDeleteData,
		"DeleteDataAll":               restic.NewDeleteDataAll,
		"DeleteRDSSnapshot":           rds.NewDelete,
		"ExportRDSSnapshotToLocation": rds.NewExport,
		"KubeExec":                    kubeexec.New,
		"KubeExecAll":                 kubeexec.NewAll,
		"KubeOps":                     kubeops.New,
		"KubeTask":                    kubetask.New,
		"LocationDelete":              locationdelete.New,
		"MultiContainerRun":           multicontainer.New,
		"PrepareData":                 preparedata.New,
		"RestoreCSISnapshot":          csi.NewRestore,
		"RestoreData":                 restic.NewRestoreData,
		"RestoreDataAll":              restic.NewRestoreDataAll,
		"RestoreRDSSnapshot":          rds.NewRestore,
		"ScaleWorkload":               scale.New,
		"Wait":                        wait.New,
		"WaitV2":                      wait.NewV2,
	}
}

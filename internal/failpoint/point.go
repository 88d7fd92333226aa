package failpoint

// Variable names the directory that arms points, in the environment of a process
// that was built with the tag failpoint.
const Variable = "SALVOR_FAILPOINTS"

// Point names a boundary.
type Point string

// The points, by role, in the order in which a run meets them.
const (
	BridgeBeforeRunCreate Point = "bridge.before-run-create"
	BridgeAfterRunCreate  Point = "bridge.after-run-create"
	BridgeBeforeStatus    Point = "bridge.before-status-patch"
	BridgeAfterStatus     Point = "bridge.after-status-patch"
	BridgeBeforeRequest   Point = "bridge.before-request"
	BridgeAfterRequest    Point = "bridge.after-request"

	DispatcherAfterPlan   Point = "dispatcher.after-plan"
	DispatcherBeforeWrite Point = "dispatcher.before-cas"
	DispatcherAfterWrite  Point = "dispatcher.after-cas"
	DispatcherAfterJob    Point = "dispatcher.after-job"
	DispatcherAfterCancel Point = "dispatcher.after-cancel-mark"
	DispatcherAfterEvent  Point = "dispatcher.after-event"
	DispatcherAfterTimer  Point = "dispatcher.after-timer"
	DispatcherAfterFired  Point = "dispatcher.after-fired"
	DispatcherBeforeAck   Point = "dispatcher.before-report-ack"
	DispatcherAfterAck    Point = "dispatcher.after-report-ack"

	RunnerAfterClaim      Point = "runner.after-claim"
	RunnerAfterStarted    Point = "runner.after-started-mark"
	RunnerBeforePodCreate Point = "runner.before-pod-create"
	RunnerAfterPodCreate  Point = "runner.after-pod-create"
	RunnerAfterPodMark    Point = "runner.after-pod-mark"
	RunnerAfterLogEnd     Point = "runner.after-log-end"
	RunnerBeforeReport    Point = "runner.before-report"
	RunnerAfterReport     Point = "runner.after-report"
	RunnerAfterCleanup    Point = "runner.after-cleanup"
	RunnerAfterAck        Point = "runner.after-ack"
	RunnerAfterRelease    Point = "runner.after-release"
)

// Points returns all points, in the order in which a run meets them.
func Points() []Point {
	return []Point{
		BridgeBeforeRunCreate, BridgeAfterRunCreate,
		DispatcherAfterPlan, DispatcherBeforeWrite, DispatcherAfterWrite, DispatcherAfterJob,
		DispatcherAfterTimer, DispatcherAfterFired,
		RunnerAfterClaim, RunnerAfterStarted, RunnerBeforePodCreate, RunnerAfterPodCreate, RunnerAfterPodMark,
		RunnerAfterLogEnd, RunnerBeforeReport, RunnerAfterReport, RunnerAfterCleanup, RunnerAfterAck, RunnerAfterRelease,
		DispatcherBeforeAck, DispatcherAfterAck, DispatcherAfterEvent,
		BridgeBeforeStatus, BridgeAfterStatus,
		BridgeBeforeRequest, BridgeAfterRequest, DispatcherAfterCancel,
	}
}

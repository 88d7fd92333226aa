package v1alpha1

// Labels and annotations that Salvor puts on the ActionSets it makes, and reads
// from those that others make.
const (
	// LabelTrigger names the ActionTrigger that made the ActionSet.
	LabelTrigger = GroupName + "/trigger"
	// AnnotationEventID, AnnotationEventSource and AnnotationEventType name the
	// event that an ActionSet was made from.
	AnnotationEventID = GroupName + "/event-id"
	// AnnotationEventSource is the source of the event.
	AnnotationEventSource = GroupName + "/event-source"
	// AnnotationEventType is the type of the event.
	AnnotationEventType = GroupName + "/event-type"
	// AnnotationTriggerUID is the UID of the ActionTrigger that LabelTrigger names.
	AnnotationTriggerUID = GroupName + "/trigger-uid"
	// LabelTriggerKey is a hash of the trigger's key for the event.
	LabelTriggerKey = GroupName + "/trigger-key"
	// AnnotationEvents is how many events were coalesced into the ActionSet.
	AnnotationEvents = GroupName + "/events"
	// AnnotationChain holds the UIDs of the ActionTriggers that led to the ActionSet,
	// each by the end of the one before, oldest first, separated by commas.
	AnnotationChain = GroupName + "/chain"
	// LabelPrunes names the ActionSet whose artifacts this one removes.
	LabelPrunes = GroupName + "/prunes"
	// AnnotationPrunes holds the name and the UID of the ActionSet that LabelPrunes
	// names, with a / between them.
	AnnotationPrunes = GroupName + "/prunes-actionset"
	// AnnotationPruneAttempt counts the ActionSets that were made to remove the
	// artifacts of one, from 1.
	AnnotationPruneAttempt = GroupName + "/prune-attempt"
	// AnnotationTraceparent is the W3C trace context that the run continues.
	AnnotationTraceparent = GroupName + "/traceparent"
)

// Requests about the run of an ActionSet.
const (
	// AnnotationCancel asks for the end of the run. Its value says why.
	AnnotationCancel = GroupName + "/cancel"
	// AnnotationPause asks that no further phase starts for as long as it is
	// there. Its value says why.
	AnnotationPause = GroupName + "/pause"
	// LabelRetry asks a run that failed or was cancelled to go on where it ended.
	// Its value tells one request from a repetition of it. It is a label, not an
	// annotation, so that ended ActionSets which have it can be watched alone.
	LabelRetry = GroupName + "/retry"
	// AnnotationAdopt hands an ActionSet to Salvor that another engine (Kanister) began
	// and left: AdoptContinue or AdoptFail.
	AnnotationAdopt = GroupName + "/adopt"
	// AdoptContinue goes on after the phases that are complete.
	AdoptContinue = "continue"
	// AdoptFail ends it as failed, and runs nothing.
	AdoptFail = "fail"
	// AnnotationPrefix is that of all of Salvor's annotations.
	AnnotationPrefix = GroupName + "/"
)

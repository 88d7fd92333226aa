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
	// AnnotationTraceparent is the W3C trace context that the run continues.
	AnnotationTraceparent = GroupName + "/traceparent"
)

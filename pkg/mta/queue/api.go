package queue

import (
	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// The values of package item, under the names that users of the queue know.
type (
	ID        = item.ID
	Envelope  = item.Envelope
	Recipient = item.Recipient
	Client    = item.Client
	Return    = item.Return
	Notify    = item.Notify
	Status    = item.Status
	State     = item.State
	Code      = item.Code
)

// RET and NOTIFY values (RFC 3461), recipient states.
const (
	ReturnUnset   = item.ReturnUnset
	ReturnFull    = item.ReturnFull
	ReturnHeaders = item.ReturnHeaders

	NotifyNever   = item.NotifyNever
	NotifySuccess = item.NotifySuccess
	NotifyFailure = item.NotifyFailure
	NotifyDelay   = item.NotifyDelay

	NotifyExpanded = item.NotifyExpanded

	Pending   = item.Pending
	Deferred  = item.Deferred
	Delivered = item.Delivered
	Failed    = item.Failed
	Expired   = item.Expired
)

// Origins of our own notifications.
const (
	OriginBounce = item.OriginBounce
	OriginDouble = item.OriginDouble
	OriginVerify = item.OriginVerify
)

// ParseID reads the text of a queue id; errors are of kind fail.Invalid.
func ParseID(s string) (ID, error) { return item.ParseID(s) }

// Expand is the recipients that stand for an alias.
func Expand(r Recipient, to []addr.Address) []Recipient { return item.Expand(r, to) }

// ParseCode reads an enhanced status code "X.Y.Z".
func ParseCode(s string) (Code, bool) { return item.ParseCode(s) }

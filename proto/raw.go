package proto

import "encoding/json"

// Raw is JSON that passes through untouched.
type Raw = json.RawMessage

package proto

import (
	"encoding/json"
	"fmt"
	"slices"
)

// The pieces that Validate methods are made of; each is nil or an *Error that
// names its field.

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func field(name string, err error) error {
	if err == nil {
		return nil
	}
	return FieldError(name, err)
}

func check(name string, ok bool, rule string) error {
	if ok {
		return nil
	}
	return &Error{Code: InvalidPayload, Field: name, Message: name + " " + rule}
}

func tooLarge(name string, n, limit int) error {
	if n <= limit {
		return nil
	}
	return &Error{Code: PayloadTooLarge, Field: name, Message: fmt.Sprintf("%s must be at most %d bytes", name, limit)}
}

func optional(name, value string, rule func(string) error) error {
	if value == "" {
		return nil
	}
	return field(name, rule(value))
}

func each(name string, values []string, rule func(string) error) error {
	for i, v := range values {
		if err := rule(v); err != nil {
			return FieldError(fmt.Sprintf("%s[%d]", name, i), err)
		}
	}
	return nil
}

// within checks a number that may be absent. One that is there is within its bounds: 0 is
// no other way to leave it out.
func within(name string, n *int, low, high int) error {
	return check(name, n == nil || *n >= low && *n <= high, fmt.Sprintf("must be from %d to %d", low, high))
}

// ValueOr is an optional number, or what counts where it is absent.
func ValueOr(n *int, absent int) int {
	if n == nil {
		return absent
	}
	return *n
}

func oneOf(v string, values []string) bool { return slices.Contains(values, v) }

// isObject says whether raw, already known to be valid JSON, is an object or absent.
func isObject(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null" || raw[0] == '{'
}

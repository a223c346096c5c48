package contract

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"supmesh.dev/proto"
)

// clientID is CheckClientID as a pattern.
const clientID = `^[A-Za-z0-9._:-]{1,64}$`

// applyRule puts a field's `rule` tag on its schema; proto's doc.go has the words.
func applyRule(s *jsonschema.Schema, rule string) error {
	for word := range strings.FieldsSeq(rule) {
		name, arg, _ := strings.Cut(word, "=")
		if typ, ok := strings.CutPrefix(word, "as:"); ok {
			s.Ref = refPrefix + typ
			delete(s.Extras, "x-raw")
			continue
		}
		switch name {
		case "id":
			s.MinLength, s.MaxLength = count(1), count(proto.MaxIDRunes)
		case "clientId":
			s.Pattern = clientID
		case "object":
			s.Type = "object"
		case "enum":
			for v := range strings.SplitSeq(arg, "|") {
				s.Enum = append(s.Enum, v)
			}
		case "each":
			if s.Items == nil {
				return fmt.Errorf("rule %q: not a list", word)
			}
			if err := applyRule(s.Items, arg); err != nil {
				return err
			}
		case "n", "bytes", "chars":
			low, high, err := bounds(arg)
			if err != nil {
				return fmt.Errorf("rule %q: %w", word, err)
			}
			switch name {
			case "chars":
				s.MinLength, s.MaxLength = low, high
			case "bytes":
				applyBytes(s, low, high)
			default:
				if err := applyCount(s, low, high); err != nil {
					return fmt.Errorf("rule %q: %w", word, err)
				}
			}
		default:
			return fmt.Errorf("rule %q: unknown word", word)
		}
	}
	return nil
}

// applyBytes bounds a text by what a schema can say: as many characters never
// take fewer bytes. The bound itself is an extension.
func applyBytes(s *jsonschema.Schema, low, high *uint64) {
	if s.Type == "string" {
		s.MinLength, s.MaxLength = low, high
	}
	if high != nil {
		extra(s, "x-max-bytes", *high)
	}
}

func applyCount(s *jsonschema.Schema, low, high *uint64) error {
	switch s.Type {
	case "integer":
		s.Minimum, s.Maximum = number(low), number(high)
	case "array":
		s.MinItems, s.MaxItems = low, high
	case "object":
		s.MinProperties, s.MaxProperties = low, high
	default:
		return fmt.Errorf("a %q has no count", s.Type)
	}
	return nil
}

// bounds reads a..b, where either may be absent.
func bounds(arg string) (low, high *uint64, err error) {
	a, b, ok := strings.Cut(arg, "..")
	if !ok {
		return nil, nil, fmt.Errorf("want a..b")
	}
	for _, v := range []struct {
		text string
		to   **uint64
	}{{a, &low}, {b, &high}} {
		if v.text == "" {
			continue
		}
		n, err := strconv.ParseUint(v.text, 10, 63)
		if err != nil {
			return nil, nil, fmt.Errorf("read bound: %w", err)
		}
		*v.to = &n
	}
	return low, high, nil
}

func count(n uint64) *uint64 { return &n }

func number(n *uint64) json.Number {
	if n == nil {
		return ""
	}
	return json.Number(strconv.FormatUint(*n, 10))
}

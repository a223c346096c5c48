package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// maxAdminBody bounds a backend's request, in bytes.
const maxAdminBody = 1 << 20

// adminRoute is a row of the catalogue as HTTP: where a request's fields are.
type adminRoute struct {
	row  proto.Row
	path []string // fields in the path
	// query is the fields that may stand in the query, where the method's body
	// means nothing (RFC 9110 §9.3): single values, by name.
	query map[string]reflect.Kind
}

func newAdminRoute(row proto.Row, req reflect.Type) *adminRoute {
	route := &adminRoute{row: row}
	for rest := row.HTTP; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			break
		}
		name, behind, _ := strings.Cut(after, "}")
		route.path, rest = append(route.path, name), behind
	}
	method, _, _ := strings.Cut(row.HTTP, " ")
	if method == http.MethodGet || method == http.MethodDelete {
		route.query = map[string]reflect.Kind{}
		for i := range req.NumField() {
			t := req.Field(i).Type
			if t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			name, _, _ := strings.Cut(req.Field(i).Tag.Get("json"), ",")
			switch k := t.Kind(); {
			case k == reflect.String, k == reflect.Bool, k >= reflect.Int && k <= reflect.Uint64:
				route.query[name] = k
			}
		}
	}
	return route
}

// read is the request's JSON object: the body, over it the query, over it the path.
func (route *adminRoute) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, proto.Errorf(proto.PayloadTooLarge, "the body must be at most %d bytes", maxAdminBody)
	case err != nil:
		return nil, proto.Errorf(proto.InvalidPayload, "the body cannot be read")
	}
	fields := map[string]proto.Raw{}
	if len(data) > 0 {
		if err := wire.Unmarshal(data, &fields); err != nil {
			return nil, err
		}
		if fields == nil {
			fields = map[string]proto.Raw{}
		}
	}
	if err := route.readQuery(r.URL, fields); err != nil {
		return nil, err
	}
	for _, name := range route.path {
		fields[name] = wire.AppendString(nil, r.PathValue(name))
	}
	return wire.Marshal(fields)
}

// readQuery takes the row's fields from the query; others are ignored, as in a body.
func (route *adminRoute) readQuery(u *url.URL, fields map[string]proto.Raw) error {
	if len(route.query) == 0 || u.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return proto.Errorf(proto.InvalidPayload, "the query cannot be read")
	}
	for name, kind := range route.query {
		given := values[name]
		switch {
		case len(given) == 0:
		case len(given) > 1:
			return proto.FieldError(name, errors.New("must not stand twice"))
		default:
			fields[name] = queryValue(kind, given[0])
		}
	}
	return nil
}

// queryValue is a text as the JSON of a field's kind; one that is not of it
// stays a text, which the service refuses by the field's name.
func queryValue(kind reflect.Kind, text string) proto.Raw {
	switch kind {
	case reflect.String:
	case reflect.Bool:
		if text == "true" || text == "false" {
			return proto.Raw(text)
		}
	default:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.AppendInt(nil, n, 10)
		}
	}
	return wire.AppendString(nil, text)
}

package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// fewItems are rows whose lists are too short to matter, by subject, and why.
var fewItems = map[string]string{
	"rpc.signaling.initiate":    "ICE servers, from the configuration",
	"rpc.signaling.answer":      "ICE servers, from the configuration",
	"rpc.signaling.ice-servers": "ICE servers, from the configuration",
	"rpc.signaling.get":         "at most four participants",
	"rpc.chat.find":             "at most 50 mentions of one message, which an entry of the log holds with the message",
	"rpc.notify.push-config":    "one item a provider",
}

// TestListsAreTriedAtTheirBounds: each row whose answer has a list has a test that fills it
// on a server with the smallest max_payload: a call of servicestest.AtBounds with the row.
func TestListsAreTriedAtTheirBounds(t *testing.T) {
	t.Parallel()
	subjects := rowSubjects(t)
	tried := map[string]bool{}
	top := repository(t, func(string) {})
	for _, f := range goFiles(t) {
		if !f.isTest() {
			continue
		}
		for _, name := range boundsCalls(t, filepath.Join(top, f.path)) {
			require.Contains(t, subjects, name, f.path)
			tried[subjects[name]] = true
		}
	}
	var missing []string
	for _, ep := range proto.Endpoints {
		row, _, res := ep.Describe()
		if row.Subject == "" { // the gateway's own: no message of NATS
			continue
		}
		switch why := fewItems[row.Subject]; {
		case !hasList(res, nil):
			require.Empty(t, why, "%s has no list", row.Subject)
		case why == "" && !tried[row.Subject]:
			missing = append(missing, row.Subject)
		}
	}
	require.Empty(t, missing, "these answer with a list, and no test calls servicestest.AtBounds with the row")
}

// hasList says whether a value of a type may have any number of items.
func hasList(t reflect.Type, in []reflect.Type) bool {
	if slices.Contains(in, t) {
		return false
	}
	in = append(in, t)
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Uint8 // proto.Raw has a bound of its own
	case reflect.Map:
		return true
	case reflect.Pointer, reflect.Array:
		return hasList(t.Elem(), in)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && hasList(f.Type, in) {
				return true
			}
		}
	default:
	}
	return false
}

// rowSubjects is the subject of each row of the catalogue, by the name of its variable.
func rowSubjects(t *testing.T) map[string]string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), "../../proto/catalogue.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	out := map[string]string{}
	for n := range ast.Preorder(tree) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			continue
		}
		for inner := range ast.Preorder(spec.Values[0]) {
			field, ok := inner.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			key, named := field.Key.(*ast.Ident)
			value, text := field.Value.(*ast.BasicLit)
			if named && text && key.Name == "Subject" {
				out[spec.Names[0].Name], err = strconv.Unquote(value.Value)
				require.NoError(t, err)
			}
		}
	}
	require.Contains(t, out, "History")
	return out
}

// boundsCalls are the rows with which a file calls servicestest.AtBounds.
func boundsCalls(t *testing.T, file string) (rows []string) {
	t.Helper()
	src, err := os.ReadFile(file)
	require.NoError(t, err)
	if !strings.Contains(string(src), "servicestest.AtBounds(") {
		return nil
	}
	tree, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
	require.NoError(t, err)
	for n := range ast.Preorder(tree) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 3 {
			continue
		}
		if fn, ok := call.Fun.(*ast.SelectorExpr); !ok || fn.Sel.Name != "AtBounds" {
			continue
		}
		if row, ok := call.Args[2].(*ast.SelectorExpr); ok {
			rows = append(rows, row.Sel.Name)
		}
	}
	return rows
}

package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTestsWaitForConditions refuses waits that a busy machine breaks. Lint
// knows time.Sleep; these need the shape of the call.
func TestTestsWaitForConditions(t *testing.T) {
	t.Parallel()
	var names []string
	top := repository(t, func(rel string) {
		if strings.HasSuffix(rel, "_test.go") || strings.HasSuffix(rel, ".go") && below(rel, "tools/e2e/mesh") {
			names = append(names, rel)
		}
	})
	for _, rel := range names {
		src, err := os.ReadFile(filepath.Join(top, rel))
		require.NoError(t, err)
		for _, complaint := range wrongWaits(t, rel, src) {
			t.Error(complaint)
		}
	}
}

// leastWait is the shortest deadline of a wait.
const leastWait = 10 * time.Second

// waits names the calls with a deadline, and which argument it is.
var waits = map[string]int{"NextMsg": 0, "require.Eventually": 2}

func wrongWaits(t *testing.T, name string, src []byte) (complaints []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, parser.SkipObjectResolution)
	require.NoError(t, err)
	complain := func(n ast.Node, why string) {
		complaints = append(complaints, fmt.Sprintf("%s: %s", files.Position(n.Pos()), why))
	}
	var look func(ast.Node) bool
	look = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommClause: // in a select it bounds a wait
			for _, s := range n.Body {
				ast.Inspect(s, look)
			}
			return false
		case *ast.ExprStmt:
			if from, ok := n.X.(*ast.UnaryExpr); ok && from.Op == token.ARROW && callee(from.X) == "time.After" {
				complain(n, "a bare <-time.After is a sleep: wait for a condition")
			}
		case *ast.CallExpr:
			called := callee(n)
			if _, method, ok := strings.Cut(called, "."); ok && method == "NextMsg" {
				called = method
			}
			if i, ok := waits[called]; ok && i < len(n.Args) {
				if d, known := duration(n.Args[i]); known && d < leastWait {
					complain(n, fmt.Sprintf("a wait of %s: a busy machine needs %s", d, leastWait))
				}
			}
			if strings.HasSuffix(called, ".Go") && len(n.Args) == 1 {
				if body, ok := n.Args[0].(*ast.FuncLit); ok {
					requires(body, func(n ast.Node) { complain(n, "require ends the wrong goroutine: use t.Error") })
				}
			}
		}
		return true
	}
	ast.Inspect(file, look)
	return complaints
}

// requires calls found for each use of require in a function that another goroutine runs.
func requires(body *ast.FuncLit, found func(ast.Node)) {
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && strings.HasPrefix(callee(call), "require.") {
			found(n)
		}
		return true
	})
}

// callee is the called function as package.Name or receiver.Name.
func callee(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	switch x := selector.X.(type) {
	case *ast.Ident:
		return x.Name + "." + selector.Sel.Name
	default:
		return "." + selector.Sel.Name
	}
}

// duration is the value of a literal such as 5 * time.Second.
func duration(e ast.Expr) (d time.Duration, known bool) {
	units := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Microsecond": time.Microsecond}
	switch e := e.(type) {
	case *ast.SelectorExpr:
		unit, ok := units[e.Sel.Name]
		return unit, ok
	case *ast.BinaryExpr:
		lit, ok := e.X.(*ast.BasicLit)
		unit, known := duration(e.Y)
		if !ok || !known || e.Op != token.MUL {
			return 0, false
		}
		n, exact := constant.Int64Val(constant.MakeFromLiteral(lit.Value, lit.Kind, 0))
		return time.Duration(n) * unit, exact
	}
	return 0, false
}

func TestWrongWaitsAreSeen(t *testing.T) {
	t.Parallel()
	for code, wrong := range map[string]bool{
		"<-time.After(time.Second)":                                    true,
		"select { case <-time.After(time.Minute): }":                   false,
		"sub.NextMsg(50 * time.Millisecond)":                           true,
		"sub.NextMsg(time.Second)":                                     true,
		"sub.NextMsg(10 * time.Second)":                                false,
		"sub.NextMsg(patience)":                                        false,
		"require.Eventually(t, ok, 5*time.Second, time.Millisecond)":   true,
		"require.Eventually(t, ok, 30*time.Second, time.Millisecond)":  false,
		"wg.Go(func() { require.NoError(t, f()) })":                    true,
		"wg.Go(func() { if err := f(); err != nil { t.Error(err) } })": false,
		"t.Run(name, func(t *testing.T) { require.NoError(t, f()) })":  false,
		"errs := m.list()[0].NextMsg(time.Second)":                     true,
	} {
		got := wrongWaits(t, "x_test.go", []byte("package x\n\nfunc f() {\n\t"+code+"\n}\n"))
		require.Equal(t, wrong, len(got) > 0, "%s: %v", code, got)
	}
}

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
)

// An edit inserts text at an offset in place of the next cut bytes.
type edit struct {
	at, cut int
	text    string
	order   int // of edits at one offset: the smaller first
}

// helpers are what mutated code calls. One mutant is on; 0 is none.
const helpers = `package %s

import (
	"cmp"
	"os"
	"strconv"
)

var mutantOn = func() int { n, _ := strconv.Atoi(os.Getenv("MUTANT")); return n }()

type mutantNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float64
}

func mutantNot(id int, v bool) bool { return v != (mutantOn == id) }

func mutantAnd(id int, a bool, b func() bool) bool {
	if mutantOn == id {
		return a || b()
	}
	return a && b()
}

func mutantOr(id int, a bool, b func() bool) bool {
	if mutantOn == id {
		return a && b()
	}
	return a || b()
}

func mutantLess[T cmp.Ordered](id int, a, b T) bool {
	if mutantOn == id {
		return a <= b
	}
	return a < b
}

func mutantAtMost[T cmp.Ordered](id int, a, b T) bool {
	if mutantOn == id {
		return a < b
	}
	return a <= b
}

func mutantMore[T cmp.Ordered](id int, a, b T) bool   { return mutantLess(id, b, a) }
func mutantAtLeast[T cmp.Ordered](id int, a, b T) bool { return mutantAtMost(id, b, a) }

func mutantAdd[T mutantNumber](id int, a, b T) T {
	if mutantOn == id {
		return a - b
	}
	return a + b
}

func mutantSub[T mutantNumber](id int, a, b T) T {
	if mutantOn == id {
		return a + b
	}
	return a - b
}
`

// compared are the operators with a helper of two arguments, and what they become.
var compared = map[token.Token]struct{ helper, becomes string }{
	token.LSS: {"mutantLess", "<="}, token.LEQ: {"mutantAtMost", "<"}, token.GTR: {"mutantMore", ">="}, token.GEQ: {"mutantAtLeast", ">"},
	token.ADD: {"mutantAdd", "-"}, token.SUB: {"mutantSub", "+"},
}

// mutator collects the edits of one file.
type mutator struct {
	p     *pkg
	file  *token.File
	edits []edit
	depth int
}

// mutated is the package's source with every mutant in it, by file.
func (p *pkg) mutated() map[string][]byte {
	out := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		f := p.files[name]
		if generated(f) {
			continue
		}
		m := &mutator{p: p, file: p.set.File(f.Pos())}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				ast.Walk(m, fn.Body)
			}
		}
		out[name] = apply(p.source[name], m.edits)
	}
	return out
}

func (m *mutator) add(n ast.Node, what string) int {
	m.p.mutants = append(m.p.mutants, mutant{at: m.p.set.Position(n.Pos()), what: what})
	return len(m.p.mutants)
}

// wrap puts text around a node. Outer nodes are visited first, so they open first
// and close last.
func (m *mutator) wrap(n ast.Node, before, after string) {
	m.depth++
	m.edits = append(m.edits,
		edit{at: m.file.Offset(n.Pos()), text: before, order: m.depth},
		edit{at: m.file.Offset(n.End()), text: after, order: -m.depth})
}

func (m *mutator) replace(at token.Pos, cut int, text string) {
	m.edits = append(m.edits, edit{at: m.file.Offset(at), cut: cut, text: text})
}

// Visit implements ast.Visitor.
func (m *mutator) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		m.binary(n)
	case *ast.IfStmt:
		if _, ok := n.Cond.(*ast.BinaryExpr); !ok {
			m.wrap(n.Cond, fmt.Sprintf("mutantNot(%d, ", m.add(n.Cond, "condition negated")), ")")
		}
	case *ast.ReturnStmt:
		for _, r := range n.Results {
			if id, ok := r.(*ast.Ident); ok && (id.Name == "true" || id.Name == "false") {
				m.wrap(r, fmt.Sprintf("mutantNot(%d, ", m.add(r, "returns not "+id.Name)), ")")
			}
		}
	case *ast.BlockStmt:
		m.statements(n.List)
	case *ast.CaseClause:
		m.statements(n.Body)
	case *ast.CommClause:
		m.statements(n.Body)
	case *ast.GenDecl:
		if n.Tok != token.VAR {
			return nil // a constant's value must stay one
		}
	}
	return m
}

func (m *mutator) binary(n *ast.BinaryExpr) {
	if tv := m.p.info.Types[n]; tv.Value != nil || tv.Type == nil {
		return
	}
	switch n.Op {
	case token.EQL, token.NEQ:
		m.wrap(n, fmt.Sprintf("mutantNot(%d, ", m.add(n, n.Op.String()+" negated")), ")")
	case token.LAND, token.LOR:
		helper := map[token.Token]string{token.LAND: "mutantAnd", token.LOR: "mutantOr"}[n.Op]
		m.wrap(n, fmt.Sprintf("%s(%d, ", helper, m.add(n, n.Op.String()+" swapped")), " })")
		m.replace(n.OpPos, 2, ",")
		// Not at the operator: a line that ends with return is a statement.
		m.edits = append(m.edits, edit{at: m.file.Offset(n.Y.Pos()), text: " func() bool { return ", order: m.depth})
	default:
		c, ok := compared[n.Op]
		if !ok || !m.numbers(n) {
			return
		}
		m.wrap(n, fmt.Sprintf("%s(%d, ", c.helper, m.add(n, n.Op.String()+" becomes "+c.becomes)), ")")
		m.replace(n.OpPos, len(n.Op.String()), ", ")
	}
}

// numbers says whether both operands are numbers, or ordered, of one type that a helper infers.
func (m *mutator) numbers(n *ast.BinaryExpr) bool {
	for _, e := range []ast.Expr{n.X, n.Y} {
		t := m.p.info.Types[e].Type
		if t == nil {
			return false
		}
		basic, ok := t.Underlying().(*types.Basic)
		if _, param := t.(*types.TypeParam); param || !ok || basic.Info()&types.IsNumeric == 0 {
			return false
		}
	}
	return true
}

func (m *mutator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if isPanic(s.X) {
				continue
			}
		case *ast.IncDecStmt:
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || slices.ContainsFunc(s.Lhs, isBlank) {
				continue
			}
		default:
			continue
		}
		m.wrap(s, "if mutantOn != "+strconv.Itoa(m.add(s, "statement left out"))+" { ", " }")
	}
}

func isBlank(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "_"
}

// apply makes all edits of a file. At one offset ends come before starts.
func apply(src []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int {
		if a.at != b.at {
			return a.at - b.at
		}
		return a.order - b.order
	})
	var out bytes.Buffer
	last := 0
	for _, e := range edits {
		out.Write(src[last:e.at])
		out.WriteString(e.text)
		last = e.at + e.cut
	}
	out.Write(src[last:])
	return out.Bytes()
}

package contract

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// fixedMark in a field's comment says that applications in the field depend on
// the field as it is.
const fixedMark = "‡"

// comment is what the source says of a type or a field.
type comment struct {
	text  string
	fixed bool
}

// readComments is the comments of every struct and field of the package in
// dir, as "Type" and "Type.Field".
func readComments(dir string) (map[string]comment, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list the source of %s: %w", dir, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("list the source of %s: no Go files", dir)
	}
	out := map[string]comment{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", path, err)
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				readTypes(g, out)
			}
		}
	}
	return out, nil
}

func readTypes(g *ast.GenDecl, out map[string]comment) {
	for _, spec := range g.Specs {
		t := spec.(*ast.TypeSpec)
		out[t.Name.Name] = toComment(g.Doc, t.Doc)
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				out[t.Name.Name+"."+name.Name] = toComment(f.Doc, f.Comment)
			}
		}
	}
}

func toComment(groups ...*ast.CommentGroup) comment {
	var words []string
	for _, g := range groups {
		words = append(words, strings.Fields(g.Text())...)
	}
	text := strings.Join(words, " ")
	plain := strings.TrimSpace(strings.TrimPrefix(text, fixedMark))
	return comment{text: plain, fixed: plain != text}
}

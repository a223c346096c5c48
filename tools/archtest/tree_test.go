package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goFile is one Go file of the repository, by its path from the root with '/'.
type goFile struct {
	path    string
	pkg     string // package clause
	imports []string
	lines   int
	doc     bool  // the package clause has a comment
	made    bool  // generated
	leaks   bool  // looks for leaked goroutines
	asksJS  bool  // has a literal that begins with jetStreamAPI
	starts  []int // lines with a go statement
}

func (f goFile) folder() string { first, _, _ := strings.Cut(f.path, "/"); return first }
func (f goFile) dir() string    { return path.Dir(f.path) }
func (f goFile) name() string   { return path.Base(f.path) }
func (f goFile) isTest() bool   { return strings.HasSuffix(f.path, "_test.go") }

// notOurs are folders that hold what was installed, built or stored here.
var notOurs = map[string]bool{".git": true, ".cache": true, "node_modules": true, "bin": true, "data": true, "testdata": true}

// repository walks every file of the work tree but those of notOurs.
func repository(t *testing.T, visit func(rel string)) string {
	t.Helper()
	top, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(top, "go.work"))
	require.NoError(t, filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && notOurs[d.Name()]:
			return filepath.SkipDir
		case d.Type().IsRegular() && !notOurs[d.Name()]: // .git is a file in a linked work tree
			rel, err := filepath.Rel(top, name)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(rel))
		}
		return nil
	}))
	return top
}

// goFiles parses the package clause and imports of every Go file.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var names []string
	top := repository(t, func(rel string) {
		if strings.HasSuffix(rel, ".go") {
			names = append(names, rel)
		}
	})
	files := make([]goFile, 0, len(names))
	for _, rel := range names {
		src, err := os.ReadFile(filepath.Join(top, rel))
		require.NoError(t, err)
		f, err := parse(rel, src)
		require.NoError(t, err)
		files = append(files, f)
	}
	require.NotEmpty(t, files)
	return files
}

func parse(rel string, src []byte) (goFile, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, rel, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{path: rel, pkg: tree.Name.Name, doc: tree.Doc != nil, lines: strings.Count(string(src), "\n")}
	for n := range ast.Preorder(tree) {
		switch n := n.(type) {
		case *ast.BasicLit:
			f.asksJS = f.asksJS || strings.HasPrefix(n.Value, jetStreamAPI)
		case *ast.GoStmt:
			f.starts = append(f.starts, files.Position(n.Pos()).Line)
		case *ast.SelectorExpr:
			if from, ok := n.X.(*ast.Ident); ok && slices.Contains(leakChecks, from.Name+"."+n.Sel.Name) {
				f.leaks = true
			}
		}
	}
	for _, group := range tree.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "// Code generated ") && strings.HasSuffix(c.Text, " DO NOT EDIT.") {
				f.made = true
			}
		}
	}
	for _, spec := range tree.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return goFile{}, err
		}
		f.imports = append(f.imports, name)
	}
	return f, nil
}

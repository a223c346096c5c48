package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pkg is a package with its types and the mutants that were put into it.
type pkg struct {
	path, dir, name string
	set             *token.FileSet
	files           map[string]*ast.File // by full name
	source          map[string][]byte
	info            types.Info
	mutants         []mutant
}

// mutant is one change, by its position and a description.
type mutant struct {
	at   token.Position
	what string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d:%d %s", filepath.Base(m.at.Filename), m.at.Line, m.at.Column, m.what)
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir, Name, Export string
	GoFiles                       []string
	DepOnly                       bool
}

// load parses and checks a package; its imports come from the build cache.
func load(pattern string) (*pkg, error) {
	cmd := exec.CommandContext(context.Background(), "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Name,Export,GoFiles,DepOnly", pattern)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	var self *listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[l.ImportPath] = l.Export
		if !l.DepOnly {
			if self != nil {
				return nil, fmt.Errorf("%s is more than one package", pattern)
			}
			self = &l
		}
	}
	if self == nil {
		return nil, fmt.Errorf("no package %s", pattern)
	}
	p := &pkg{
		path: self.ImportPath, dir: self.Dir, name: self.Name, set: token.NewFileSet(),
		files: map[string]*ast.File{}, source: map[string][]byte{},
		info: types.Info{Types: map[ast.Expr]types.TypeAndValue{}},
	}
	var files []*ast.File
	for _, name := range self.GoFiles {
		full := filepath.Join(self.Dir, name)
		src, err := os.ReadFile(full)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(p.set, full, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.files[full], p.source[full] = f, src
		files = append(files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(p.set, "gc", func(path string) (io.ReadCloser, error) {
		file := exports[path]
		if file == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file)
	})}
	if _, err := conf.Check(self.ImportPath, p.set, files, &p.info); err != nil {
		return nil, err
	}
	return p, nil
}

// generated says whether nobody writes the file by hand.
func generated(f *ast.File) bool { return ast.IsGenerated(f) }

// isPanic says whether a statement ends its function, as the compiler sees it.
func isPanic(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return true // not a call: a receive, which other goroutines wait for
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && strings.HasPrefix(id.Name, "panic")
}

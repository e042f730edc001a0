package admin

import (
	"encoding/json"
	"flag"
	"maps"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// schema is the part of JSON Schema that openapi.json uses.
type schema struct {
	Ref        string            `json:"$ref,omitempty"`
	Type       string            `json:"type,omitempty"`
	Format     string            `json:"format,omitempty"`
	Items      *schema           `json:"items,omitempty"`
	Values     *schema           `json:"additionalProperties,omitempty"`
	Properties map[string]schema `json:"properties,omitempty"`
	Required   []string          `json:"required,omitempty"`
}

type body struct {
	Content map[string]struct{ Schema schema } `json:"content"`
}

type operation struct {
	Summary     string `json:"summary"`
	OperationID string `json:"operationId"`
	Parameters  []struct{ Name, In string }
	RequestBody *body `json:"requestBody"`
	Responses   map[string]body
}

type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

const refPrefix = "#/components/schemas/"

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openapi, &d); err != nil || !strings.HasPrefix(d.OpenAPI, "3.") {
		t.Fatalf("openapi.json, version %q: %v", d.OpenAPI, err)
	}
	return d
}

// schemaOf says what encoding/json makes of a type, structs by reference into all.
func schemaOf(typ reflect.Type, all map[string]schema) schema {
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return schema{Type: "string", Format: "date-time"}
	case typ.Kind() == reflect.Bool:
		return schema{Type: "boolean"}
	case typ.Kind() == reflect.String:
		return schema{Type: "string"}
	case typ.Kind() == reflect.Float64:
		return schema{Type: "number"}
	case typ.Kind() == reflect.Int, typ.Kind() == reflect.Uint64:
		return schema{Type: "integer"}
	case typ.Kind() == reflect.Slice:
		items := schemaOf(typ.Elem(), all)
		return schema{Type: "array", Items: &items}
	case typ.Kind() == reflect.Map:
		values := schemaOf(typ.Elem(), all)
		return schema{Type: "object", Values: &values}
	case typ.Kind() == reflect.Struct:
		s := schema{Type: "object", Properties: map[string]schema{}}
		for f := range typ.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			s.Properties[name] = schemaOf(f.Type, all)
			if options == "" {
				s.Required = append(s.Required, name)
			}
		}
		all[typ.Name()] = s
		return schema{Ref: refPrefix + typ.Name()}
	}
	panic("no schema for " + typ.String())
}

// ours returns the schemas of all bodies.
func ours() map[string]schema {
	all := map[string]schema{}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Status](), reflect.TypeFor[Reload](), reflect.TypeFor[TableInfo](), reflect.TypeFor[Entry](),
		reflect.TypeFor[Changed](), reflect.TypeFor[Levels](), reflect.TypeFor[SetLevel](), reflect.TypeFor[Problem](),
	} {
		schemaOf(typ, all)
	}
	return all
}

// update puts the schemas of the Go types into openapi.json: go test ./engine/admin -run TestOpenAPI -update
var update = flag.Bool("update", false, "write the schemas in openapi.json anew")

func writeSchemas(t *testing.T) {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(openapi, &d); err != nil {
		t.Fatal(err)
	}
	d["components"].(map[string]any)["schemas"] = ours()
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	openapi = append(text, '\n')
	if err := os.WriteFile("openapi.json", openapi, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The document has the pages that are served, and the shapes of the Go types.
func TestOpenAPI(t *testing.T) {
	if *update {
		writeSchemas(t)
	}
	d := readDocument(t)
	var want, have []string
	for path, methods := range (&api{}).routes() {
		for method := range methods {
			want = append(want, method+" "+root+path)
		}
	}
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, o := range operations {
			have = append(have, strings.ToUpper(method)+" "+path)
			if o.Summary == "" || o.OperationID == "" || ids[o.OperationID] {
				t.Errorf("%s %s: summary %q, id %q", method, path, o.Summary, o.OperationID)
			}
			ids[o.OperationID] = true
			if named := slices.ContainsFunc(o.Parameters, func(p struct{ Name, In string }) bool { return p.In == "path" && p.Name == "name" }); named != strings.Contains(path, "{name}") {
				t.Errorf("%s %s: its parameters are %v", method, path, o.Parameters)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("openapi.json describes %v, served are %v", have, want)
	}
	types := ours()
	for name := range maps.Keys(types) {
		if !reflect.DeepEqual(d.Components.Schemas[name], types[name]) {
			t.Errorf("openapi.json has %s as %+v, Go as %+v; -update writes it", name, d.Components.Schemas[name], types[name])
		}
	}
	for name := range d.Components.Schemas {
		if _, ok := types[name]; !ok {
			t.Errorf("openapi.json has %s, Go has not", name)
		}
	}
}

// check tells where v, as encoding/json reads it, is not of s.
func (d document) check(t *testing.T, where string, s schema, v any) {
	t.Helper()
	if name, ok := strings.CutPrefix(s.Ref, refPrefix); ok {
		if s, ok = d.Components.Schemas[name]; !ok {
			t.Errorf("%s: there is no schema %s", where, name)
			return
		}
	}
	good := false
	switch v := v.(type) {
	case map[string]any:
		good = s.Type == "object"
		for name, one := range v {
			p, ok := s.Properties[name]
			if s.Values != nil {
				p, ok = *s.Values, true
			}
			if !ok {
				t.Errorf("%s has %s, which is not described", where, name)
				continue
			}
			d.check(t, where+"."+name, p, one)
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s lacks %s", where, name)
			}
		}
	case []any:
		good = s.Type == "array"
		for _, one := range v {
			d.check(t, where+"[]", *s.Items, one)
		}
	case string:
		good = s.Type == "string"
	case bool:
		good = s.Type == "boolean"
	case float64:
		good = s.Type == "number" || s.Type == "integer" && v == float64(int64(v))
	}
	if !good {
		t.Errorf("%s is %T, described as %q", where, v, s.Type)
	}
}

// What is answered is what is described, and each page is asked at least once.
func TestAnswersAreDescribed(t *testing.T) {
	d := readDocument(t)
	c := newControl()
	h := pages(Options{Status: fakeStatus, Control: c})
	asked := map[string]bool{}
	for _, q := range []struct{ method, path, template, body string }{
		{"GET", "/openapi.json", "", ""},
		{"GET", "/status", "", ""},
		{"POST", "/reload", "", ""},
		{"POST", "/drain", "", ""},
		{"GET", "/log-level", "", ""},
		{"PUT", "/log-level", "", `{"level": "debug"}`},
		{"PUT", "/log-level", "", `{"level": "loud"}`},
		{"PUT", "/log-level", "", `{"part": "nobody", "level": "warn"}`},
		{"GET", "/secrets", "", ""},
		{"POST", "/secrets/bob/reset", "/secrets/{name}/reset", ""},
		{"POST", "/secrets/mallory/reset", "/secrets/{name}/reset", ""},
		{"GET", "/tables", "", ""},
		{"POST", "/tables/a", "/tables/{name}", `[{"key": "client_ip", "value": "192.0.2.1"}]`},
		{"POST", "/tables/a", "/tables/{name}", `[{"key": "client_ip", "value": "192.0.2"}]`},
		{"GET", "/tables", "", ""},
		{"GET", "/tables/a", "/tables/{name}", ""},
		{"DELETE", "/tables/a", "/tables/{name}", `[{"key": "client_ip", "value": "192.0.2.1"}]`},
		{"GET", "/tables/none", "/tables/{name}", ""},
	} {
		r := httptest.NewRequest(q.method, root+q.path, strings.NewReader(q.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		template := root + q.path
		if q.template != "" {
			template = root + q.template
		}
		asked[q.method+" "+template] = true
		where := q.method + " " + q.path
		o := d.Paths[template][strings.ToLower(q.method)]
		answers, ok := o.Responses[strconv.Itoa(w.Code)]
		if !ok && w.Code/100 != 2 {
			answers, ok = o.Responses["default"]
		}
		if !ok {
			t.Errorf("%s answers %d, which is not described: %s", where, w.Code, w.Body)
			continue
		}
		if w.Body.Len() == 0 {
			if len(answers.Content) != 0 {
				t.Errorf("%s answers nothing", where)
			}
			continue
		}
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Errorf("%s answers %s: %v", where, w.Body, err)
			continue
		}
		s := answers.Content["application/json"].Schema
		if q.path == "/openapi.json" {
			continue // any object
		}
		d.check(t, where, s, v)
	}
	for path, methods := range d.Paths {
		for method := range methods {
			if !asked[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is not asked", method, path)
			}
		}
	}
}

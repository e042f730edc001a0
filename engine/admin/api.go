package admin

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/engine/policy"
)

//go:embed openapi.json
var openapi []byte

const root = "/api/v1"

// api is the pages below root. Every answer is JSON, but for tables that were asked for as text.
type api struct {
	status  func() Status
	control Control
}

// page answers one request with a value for encoding/json. It has written the answer itself when the value is nil.
type page func(w http.ResponseWriter, r *http.Request) (any, error)

// routes returns all pages by path below root and method, as openapi.json has them.
func (a *api) routes() map[string]map[string]page {
	return map[string]map[string]page{
		"/openapi.json":         {"GET": a.getOpenAPI},
		"/status":               {"GET": a.getStatus},
		"/reload":               {"POST": a.controlled(a.postReload)},
		"/drain":                {"POST": a.controlled(a.postDrain)},
		"/log-level":            {"GET": a.controlled(a.getLevels), "PUT": a.controlled(a.putLevel)},
		"/secrets":              {"GET": a.controlled(a.getSecrets)},
		"/secrets/{name}/reset": {"POST": a.controlled(a.postReset)},
		"/tables":               {"GET": a.controlled(a.getTables)},
		"/tables/{name}":        {"GET": a.controlled(a.getTable), "POST": a.controlled(a.postTable), "DELETE": a.controlled(a.deleteTable)},
	}
}

func (a *api) register(mux *http.ServeMux) {
	for path, methods := range a.routes() {
		mux.HandleFunc(root+path, func(w http.ResponseWriter, r *http.Request) { answer(w, r, methods) })
	}
	mux.HandleFunc(root+"/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "admin: there is no such page", root+"/openapi.json lists them")
	})
}

// answer finds the page for a request's method, checks what it brings and writes what the page returns.
func answer(w http.ResponseWriter, r *http.Request, methods map[string]page) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	p, ok := methods[method]
	if !ok {
		allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		w.Header().Set("Allow", allowed)
		fail(w, http.StatusMethodNotAllowed, "admin: this page has no such method", "use "+allowed)
		return
	}
	if method != http.MethodGet && !typed(r) {
		fail(w, http.StatusUnsupportedMediaType, "admin: a change comes as JSON", "send the header Content-Type: application/json; keys of tables may be text/plain")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	v, err := p(w, r)
	if err != nil {
		code, problem := explain(err)
		fail(w, code, problem.Error, problem.Cure)
		return
	}
	if v != nil {
		reply(w, http.StatusOK, v)
	}
}

// typed reports whether a change is of a type that no form of a web page has, text for tables excepted.
func typed(r *http.Request) bool {
	kind := mediaType(r)
	return kind == "application/json" || kind == "text/plain" && strings.HasPrefix(r.URL.Path, root+"/tables/")
}

func mediaType(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// badRequest is the asker's mistake.
type badRequest struct{ error }

func (e badRequest) Unwrap() error { return e.error }

// explain returns the code and the words of an error.
func explain(err error) (int, Problem) {
	p := Problem{Error: err.Error()}
	if i := strings.LastIndex(p.Error, "; "); i >= 0 && !strings.Contains(p.Error, "\n") {
		p.Error, p.Cure = p.Error[:i], p.Error[i+2:]
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, Problem{fmt.Sprintf("admin: more than %d MiB at once", e.Limit>>20), "send it in pieces"}
	}
	if _, ok := errors.AsType[badRequest](err); ok {
		return http.StatusBadRequest, p
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound, p
	case errors.Is(err, ErrRefused):
		return http.StatusConflict, p
	case errors.Is(err, ErrNotHere):
		return http.StatusNotImplemented, p
	case errors.Is(err, policy.ErrFull):
		return http.StatusInsufficientStorage, p
	}
	return http.StatusInternalServerError, p
}

// fail writes a Problem.
func fail(w http.ResponseWriter, code int, what, cure string) { reply(w, code, Problem{what, cure}) }

// reply writes v, which encoding/json takes.
func reply(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		text(w, http.StatusInternalServerError, "admin: "+err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}

// take reads the body of a request as one JSON value into v.
func take(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest{fmt.Errorf("admin: the body is not what this page takes (%w); %s/openapi.json describes it", err, root)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest{errors.New("admin: there is more than one JSON value; send one")}
	}
	return nil
}

// controlled keeps p from being asked without a Control.
func (a *api) controlled(p page) page {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		if a.control == nil {
			return nil, ErrNotHere
		}
		return p(w, r)
	}
}

func (a *api) getOpenAPI(w http.ResponseWriter, _ *http.Request) (any, error) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openapi)
	return nil, nil
}

func (a *api) getStatus(http.ResponseWriter, *http.Request) (any, error) {
	if a.status == nil {
		return nil, ErrNotHere
	}
	return a.status(), nil
}

func (a *api) postReload(_ http.ResponseWriter, r *http.Request) (any, error) {
	return a.control.Reload(r.Context())
}

func (a *api) postDrain(w http.ResponseWriter, r *http.Request) (any, error) {
	limit := time.Duration(-1)
	if given := r.URL.Query().Get("seconds"); given != "" {
		n, err := strconv.ParseFloat(given, 64)
		if err != nil || !(n >= 0 && n <= maxDrain.Seconds()) {
			return nil, badRequest{fmt.Errorf("admin: %q is no number of seconds up to %.0f; write seconds=30", given, maxDrain.Seconds())}
		}
		limit = time.Duration(n * float64(time.Second))
	}
	if err := a.control.Drain(limit); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil, nil
}

func (a *api) getLevels(http.ResponseWriter, *http.Request) (any, error) {
	return a.levels(), nil
}

func (a *api) levels() Levels {
	l := Levels{Levels: map[string]string{}}
	maps.Copy(l.Levels, a.control.Levels())
	return l
}

func (a *api) putLevel(_ http.ResponseWriter, r *http.Request) (any, error) {
	var s SetLevel
	if err := take(r, &s); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, s.Level) {
		return nil, badRequest{fmt.Errorf("admin: %q is no level; write debug, info, warn or error", s.Level)}
	}
	if err := a.control.SetLevel(s.Part, s.Level); err != nil {
		return nil, err
	}
	return a.levels(), nil
}

func (a *api) getSecrets(http.ResponseWriter, *http.Request) (any, error) {
	return append([]Secret{}, a.control.Secrets()...), nil
}

// postReset does not repeat a name that nobody has: it may be a secret in the wrong place.
func (a *api) postReset(w http.ResponseWriter, r *http.Request) (any, error) {
	err := a.control.ResetSecret(r.PathValue("name"))
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: no secret has this name; epoxy secrets list has the names", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil, nil
}

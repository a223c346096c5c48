package archtest

import "strings"

// root is the module path that all folders share: supmesh.dev/<folder>.
const root = "supmesh.dev/"

// A folder is one module of the workspace and what it may import of the others.
type folder struct {
	may []string // sibling folders; "*" is all of them
	// stdOnly forbids every third-party module, but in tests.
	stdOnly bool
}

// imports is who may import whom. Nothing may import tools, and services never
// import each other: they meet on NATS, in the words of proto. A folder that
// is not listed here is a service: it may import what serviceMay says.
var imports = map[string]folder{
	"proto":    {stdOnly: true},
	"services": {may: []string{"proto"}},
	"tools":    {may: []string{"*"}},
}

var serviceMay = []string{"services", "proto"}

// A confined library may be imported only where the rule says.
type confined struct {
	library string
	why     string
	allowed func(f goFile) bool
}

// libraries is where the libraries with a say in the architecture may appear.
var libraries = []confined{
	{
		library: "github.com/coder/websocket",
		why:     "only the edge and tools speak websocket",
		allowed: func(f goFile) bool { return f.folder() == "gateway" || f.folder() == "tools" },
	},
	{library: "github.com/nats-io/nats.go", why: storeWhy, allowed: inStore},
	{library: "github.com/nats-io/nats-server", why: storeWhy, allowed: inStore},
	{library: "github.com/redis/go-redis", why: storeWhy, allowed: inStore},
	{library: "github.com/go-redis", why: storeWhy, allowed: inStore},
}

const storeWhy = "only services/, files named store.go, tests and tools know where state lives"

func inStore(f goFile) bool {
	return f.folder() == "services" || f.folder() == "tools" || f.name() == "store.go" || f.isTest()
}

// purePackages are protocol: they know nothing of messaging, so that an echo
// server can be built from them alone. They may import of this repository only
// what is below the listed prefixes.
var purePackages = map[string][]string{
	"gateway/wsconn":   {"gateway/wsconn"},
	"gateway/engineio": {"gateway/wsconn", "gateway/engineio"},
	"gateway/rawjson":  {"gateway/rawjson"},
	"gateway/socketio": {"gateway/wsconn", "gateway/engineio", "gateway/socketio", "gateway/rawjson"},
}

// startsGoroutines is where a go statement may stand: in the chassis, whose
// hosts wait for what they started, in the protocol below the gateway, whose
// connections do, and in tools. Everybody else asks one of them.
var startsGoroutines = []string{"services", "gateway/wsconn", "gateway/engineio", "gateway/socketio", "tools"}

// jetStreamAPI opens the subjects by which JetStream is asked. Only the reader of the log
// spells them: what a replica does not have is not absent, and every reader must hold to that.
const jetStreamAPI = "\"$" + "JS."

// spellsJetStreamAPI is where it may stand.
func spellsJetStreamAPI(f goFile) bool {
	return f.dir() == "services/eventlog" || f.dir() == "services/servicestest" || f.folder() == "tools" || f.isTest()
}

// leakChecks are the ways in which a package's tests look for goroutines that stayed.
var leakChecks = []string{"goleak.VerifyTestMain", "goleak.Find", "servicestest.Leak"}

// Bounds on files.
const (
	maxFileLines = 500
	maxMainLines = 15 // main.go of a service: it only names the service
)

// vagueNames say where a thing lies, not what it does.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "misc"}

// A banned text must not stand in any text file. Each is written in parts, so
// that this file does not contain it.
var banned = []struct{ text, why string }{
	{"/" + "work" + "/", "a path of one machine"},
	{"/" + "farm" + "/", "a path of one machine"},
	{"/tmp/" + "plan", "a path of one machine"},
	{"proxy." + "golang.org", "a registry's host: name packages, not hosts"},
	{"sum." + "golang.org", "a registry's host: name packages, not hosts"},
	{"registry." + "npmjs.org", "a registry's host: name packages, not hosts"},
	{"deb." + "debian.org", "a registry's host: name packages, not hosts"},
	{"@" + "latest", "versions are pinned"},
}

// machinePath says whether the text at i begins a path, and is not the middle
// of a longer one such as ./x/work/y or a URL's.
func machinePath(line string, i int) bool {
	if i == 0 {
		return true
	}
	c := line[i-1]
	return !strings.ContainsRune("._-", rune(c)) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

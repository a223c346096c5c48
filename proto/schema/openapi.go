package schema

import _ "embed"

// OpenAPI is the OpenAPI 3.1 document of the admin HTTP API, as tools/gen wrote it.
//
//go:embed openapi.json
var OpenAPI []byte

package openapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
	"supmesh.dev/tools/gen/contract"
	"supmesh.dev/tools/gen/openapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type operation struct {
	OperationID string
	Security    *[]any
	Parameters  []struct {
		Name, In string
		Required bool
		Ref      string `json:"$ref"`
	}
	RequestBody *struct {
		Required bool
		Content  map[string]struct {
			Schema struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	Responses map[string]struct {
		Content map[string]struct {
			Schema struct {
				AllOf []struct {
					Properties map[string]struct{ Enum []proto.Code }
				}
			}
		}
	}
}

func load(t *testing.T) (m *contract.Model, raw string, paths map[string]map[string]operation) {
	t.Helper()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	b, err := openapi.File(m)
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]operation
	}
	require.NoError(t, json.Unmarshal(b, &doc))
	return m, string(b), doc.Paths
}

func TestEveryRouteIsAnOperation(t *testing.T) {
	t.Parallel()
	m, raw, paths := load(t)
	rows, operations := 0, 0
	for _, r := range m.Requests {
		if r.HTTP == "" {
			continue
		}
		rows++
		method, path, _ := strings.Cut(r.HTTP, " ")
		op, ok := paths[path][strings.ToLower(method)]
		require.True(t, ok, r.HTTP)
		require.Nil(t, op.Security, "the bearer token is for all")
		require.Equal(t, "#/components/parameters/IdempotencyKey", op.Parameters[len(op.Parameters)-1].Ref)
		// Each code stands under its own status, each of the row's somewhere.
		var seen []proto.Code
		for status, response := range op.Responses {
			for _, content := range response.Content {
				for _, part := range content.Schema.AllOf {
					for _, code := range part.Properties["code"].Enum {
						require.Equal(t, status, fmt.Sprint(code.Row().Status), code)
						seen = append(seen, code)
					}
				}
			}
		}
		require.Subset(t, seen, r.Errors, r.HTTP)
		require.Subset(t, seen, []proto.Code{proto.AuthenticationRequired, proto.InvalidPayload, proto.Conflict, proto.ServiceUnavailable, proto.Timeout, proto.InternalError})
		require.NotContains(t, seen, proto.RateLimitExceeded)
	}
	for _, item := range paths {
		operations += len(item)
	}
	require.Equal(t, rows+1, operations, "and the document itself")
	require.NotContains(t, raw, "$defs")
	require.NotContains(t, raw, "SendMessageReq", "only what the admin side needs")
}

func TestFieldsTravelWhereTheirMethodPutsThem(t *testing.T) {
	t.Parallel()
	_, _, paths := load(t)
	where := func(op operation) (out []string) {
		for _, p := range op.Parameters {
			if p.Name != "" {
				out = append(out, p.In+" "+p.Name)
			}
		}
		slices.Sort(out)
		return out
	}
	get := paths["/v1/chats/{chatId}"]["get"]
	require.Equal(t, []string{"path chatId", "query cursor", "query limit"}, where(get))
	require.Nil(t, get.RequestBody)
	remove := paths["/v1/chats/{chatId}/members/{userId}"]["delete"]
	require.Equal(t, []string{"path chatId", "path userId", "query reason"}, where(remove))
	put := paths["/v1/chats/{chatId}"]["put"]
	require.Equal(t, []string{"path chatId"}, where(put))
	body := put.RequestBody.Content["application/json"].Schema
	require.Contains(t, body.Properties, "members")
	require.NotContains(t, body.Properties, "chatId")
	require.Empty(t, body.Required)
	require.False(t, put.RequestBody.Required)
	require.NotNil(t, paths["/openapi.json"]["get"].Security)
	require.Equal(t, "chatMemberAdd", paths["/v1/chats/{chatId}/members"]["post"].OperationID)
}

package typescript_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/tools/gen/contract"
	"supmesh.dev/tools/gen/typescript"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFile(t *testing.T) {
	t.Parallel()
	m, err := contract.Load("../../../proto")
	require.NoError(t, err)
	b, err := typescript.File(m)
	require.NoError(t, err)
	text := string(b)
	for _, want := range []string{
		`export interface SendMessageReq {`,
		`  metadata?: Record<string, Raw>;`,
		`  messages: NewMessage[];`,
		`  createdAt: Timestamp;`,
		`  success: true;`,
		`  success: false;`,
		`  limits: LimitTable;`,
		`export type LimitTable = Record<string, LimitRow>;`,
		`  "message:new": (request: SendMessageReq, ack: (reply: Reply<SendMessageAck>) => void) => void;`,
		`  "message:new": (payload: NewMessage, offset: string) => void;`,
		`  "error": (payload: ErrorEvent) => void;`,
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "‡")
}

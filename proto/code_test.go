package proto_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// contractCodes is CONTRACT §3's closed list, in its order.
const contractCodes = `AUTHENTICATION_REQUIRED INVALID_TOKEN TOKEN_EXPIRED TOKEN_REVOKED RATE_LIMIT_EXCEEDED INVALID_PAYLOAD
PAYLOAD_TOO_LARGE UNKNOWN_EVENT CHAT_NOT_FOUND MESSAGE_NOT_FOUND PERMISSION_DENIED CONFLICT INVALID_STATUS INVALID_REACTION
REACTION_LIMIT SUBSCRIPTION_LIMIT CALL_NOT_FOUND CALL_BUSY CALL_GLARE CALL_ALREADY_ANSWERED CALL_ENDED SERVICE_UNAVAILABLE
TIMEOUT IDLE_TIMEOUT SLOW_CONSUMER SERVER_SHUTDOWN CONNECTION_LIMIT INTERNAL_ERROR`

const contractRetryable = "RATE_LIMIT_EXCEEDED SERVICE_UNAVAILABLE TIMEOUT SERVER_SHUTDOWN INTERNAL_ERROR"

func TestCodesAreTheContracts(t *testing.T) {
	t.Parallel()
	var codes, retryable []string
	for _, row := range proto.Codes {
		codes = append(codes, string(row.Code))
		if row.Retryable {
			retryable = append(retryable, string(row.Code))
		}
		require.NotEmpty(t, row.Title, row.Code)
		require.GreaterOrEqual(t, row.Status, 400, row.Code)
		require.Less(t, row.Status, 600, row.Code)
		require.Equal(t, row, row.Code.Row())
		require.True(t, row.Code.Known())
	}
	require.Equal(t, strings.Fields(contractCodes), codes)
	require.Equal(t, strings.Fields(contractRetryable), retryable)
}

func TestUnknownCodeIsInternalError(t *testing.T) {
	t.Parallel()
	require.False(t, proto.Code("NEW").Known())
	require.Equal(t, proto.InternalError, proto.Code("NEW").Row().Code)
	require.Equal(t, proto.InternalError, (&proto.Error{Code: "NEW"}).Failure("r").Code)
}

func TestCloseCodes(t *testing.T) {
	t.Parallel()
	seen := map[proto.CloseCode]bool{}
	for _, row := range proto.CloseCodes {
		require.False(t, seen[row.Code], "%d twice", row.Code)
		seen[row.Code] = true
		require.NotEmpty(t, row.Reason, row.Code)
		require.LessOrEqual(t, len(row.Reason), 123, "a close frame's reason (RFC 6455 §5.5)")
		if row.Code >= 4000 {
			require.Equal(t, row.Code < 4500, row.Reconnect, "%d: its range says whether to come back", row.Code)
		}
		require.Equal(t, row, row.Code.Row())
	}
	// Every code of CONTRACT §2 but 1001: this mesh says 1012, which browsers tell apart.
	for _, code := range []proto.CloseCode{1003, 1007, 1009, 1011, 1012, 1013, 4401, 4408, 4409, 4429, 4500, 4501, 4502, 4503} {
		require.True(t, seen[code], "%d has no row", code)
	}
	require.Equal(t, proto.CloseInternal, proto.CloseCode(4999).Row().Code)
}

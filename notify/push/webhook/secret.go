package webhook

import (
	"encoding/base64"
	"strings"
)

// keySize is how many bytes a secret stands for. Its error does not quote it.
func keySize(secret string) (int, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return 0, errNotBase64
	}
	return len(key), nil
}

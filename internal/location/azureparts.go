package location

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/google/uuid"
)

// azureStore writes to one container, large objects block by block.
type azureStore struct{ container *container.Client }

func (s *azureStore) blob(key string) *blockblob.Client {
	return s.container.NewBlockBlobClient(nameIn(azureSpecial, key))
}

func (s *azureStore) whole(ctx context.Context, key string, data []byte) error {
	_, err := s.blob(key).Upload(ctx, body(data), &blockblob.UploadOptions{HTTPHeaders: azureHeaders()})
	return err
}

func (s *azureStore) begin(_ context.Context, key string) (partUpload, error) {
	return &azureUpload{blob: s.blob(key), id: uuid.New()}, nil
}

// azureUpload is a list of blocks that is not committed yet.
type azureUpload struct {
	blob *blockblob.Client
	// id keeps the blocks apart from those of another push to the same key.
	id uuid.UUID
}

func (u *azureUpload) send(ctx context.Context, number int, data []byte) error {
	_, err := u.blob.StageBlock(ctx, u.block(number), body(data), nil)
	return err
}

// finish can be repeated: committed blocks can be named again.
func (u *azureUpload) finish(ctx context.Context, count int) error {
	blocks := make([]string, count)
	for i := range blocks {
		blocks[i] = u.block(i + 1)
	}
	_, err := u.blob.CommitBlockList(ctx, blocks, &blockblob.CommitBlockListOptions{HTTPHeaders: azureHeaders()})
	return err
}

// abort has nothing to do: blocks that are not committed are part of nothing, and
// Azure removes them, with the next commit to the same key or after a week.
func (u *azureUpload) abort(context.Context) error { return nil }

// block is the id of a block. All ids of a blob must have the same length, also
// those of an upload by the SDK that was not finished: it makes them of 64 bytes.
func (u *azureUpload) block(number int) string {
	var id [64]byte
	copy(id[:], u.id[:])
	binary.BigEndian.PutUint32(id[len(u.id):], uint32(number)) //nolint:gosec // G115: at most maxParts
	return base64.StdEncoding.EncodeToString(id[:])
}

func azureHeaders() *blob.HTTPHeaders {
	kind := contentType
	return &blob.HTTPHeaders{BlobContentType: &kind}
}

func body(data []byte) *bodyReader { return &bodyReader{bytes.NewReader(data)} }

// bodyReader is what the SDK asks of a body that it can send again.
type bodyReader struct{ *bytes.Reader }

func (bodyReader) Close() error { return nil }

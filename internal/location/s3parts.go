package location

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// An abort is repeated with a growing pause while parts are under way.
	abortAttempts = 6
	abortPause    = 100 * time.Millisecond
	noSuchUpload  = "NoSuchUpload"

	// uploadMark is metadata of an object that was sent in parts; its value is
	// that of one upload.
	uploadMark = "salvor-upload"
)

// s3Store writes to one bucket.
type s3Store struct {
	client *s3.Client
	bucket string
	// checksum is the algorithm parts are checked with; empty for none.
	checksum types.ChecksumAlgorithm
}

// newS3Store follows the client's setting about checksums: all requests of an
// upload have to agree on the algorithm, which the SDK does not see to.
func newS3Store(client *s3.Client, bucket string) *s3Store {
	s := &s3Store{client: client, bucket: bucket}
	if client.Options().RequestChecksumCalculation != aws.RequestChecksumCalculationWhenRequired {
		s.checksum = types.ChecksumAlgorithmCrc32
	}
	return s
}

func (s *s3Store) whole(ctx context.Context, key string, data []byte) error {
	key = nameIn(s3Special, key)
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, ContentType: aws.String(contentType), Body: bytes.NewReader(data),
	})
	return err
}

func (s *s3Store) begin(ctx context.Context, key string) (partUpload, error) {
	key = nameIn(s3Special, key)
	m := &s3Upload{s3Store: s, key: key, mark: rand.Text(), parts: map[int]types.CompletedPart{}}
	created, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, ContentType: aws.String(contentType), ChecksumAlgorithm: s.checksum,
		Metadata: map[string]string{uploadMark: m.mark},
	})
	if err != nil {
		return nil, err
	}
	m.id = created.UploadId
	return m, nil
}

// s3Upload is one multipart upload.
type s3Upload struct {
	*s3Store
	key, mark string
	id        *string

	mu    sync.Mutex
	parts map[int]types.CompletedPart
}

func (m *s3Upload) send(ctx context.Context, number int, data []byte) error {
	n := aws.Int32(int32(number)) //nolint:gosec // G115: at most maxParts
	out, err := m.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &m.bucket, Key: &m.key, UploadId: m.id, PartNumber: n,
		Body: bytes.NewReader(data), ChecksumAlgorithm: m.checksum,
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[number] = types.CompletedPart{PartNumber: n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
	return nil
}

func (m *s3Upload) finish(ctx context.Context, count int) error {
	parts := make([]types.CompletedPart, count)
	for i := range parts {
		parts[i] = m.parts[i+1]
	}
	_, err := m.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &m.bucket, Key: &m.key, UploadId: m.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if replyOf(err).code == noSuchUpload && m.finished(ctx) {
		return nil
	}
	return err
}

// finished tells whether an earlier request has made the object and only its
// answer was lost.
func (m *s3Upload) finished(ctx context.Context) bool {
	out, err := m.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &m.bucket, Key: &m.key})
	return err == nil && out.Metadata[uploadMark] == m.mark
}

// abort removes the parts. A part that is still on its way to the server may
// outlive an abort, so it is repeated until the server knows the upload no more.
func (m *s3Upload) abort(ctx context.Context) error {
	for gone, attempt := 0, 1; ; attempt++ {
		_, err := m.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &m.bucket, Key: &m.key, UploadId: m.id})
		switch {
		case err == nil:
			gone = 0
		case replyOf(err).code != noSuchUpload:
			return fmt.Errorf("the parts of upload %s could not be removed, abort it by hand: %w", aws.ToString(m.id), err)
		default:
			gone++
		}
		// Twice, because a part that arrives in between can bring it back.
		if gone == 2 || attempt == abortAttempts {
			return nil
		}
		sleep(ctx, time.Duration(attempt)*abortPause)
	}
}

// dropUploads aborts the unfinished uploads of key and of what is below it. A store
// that cannot list them, or a credential that may not, is no error: deleting the
// objects has succeeded, and nobody could do more.
func (s *s3Store) dropUploads(ctx context.Context, key string) error {
	name := nameIn(s3Special, key)
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return ctx.Err()
		}
		for _, upload := range page.Uploads {
			at := aws.ToString(upload.Key)
			if at != name && !strings.HasPrefix(at, name+"/") {
				continue
			}
			err := (&s3Upload{s3Store: s, key: at, id: upload.UploadId}).abort(ctx)
			if err != nil && ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

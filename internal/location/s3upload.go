package location

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	maxParts     = 10000
	firstPart    = 16 << 20
	constantPart = 5000 // parts of the first size
	growEvery    = 500  // then the size doubles each so many parts
	largestPart  = 4 << 30

	partBuffers  = 4        // of parts up to sharedPart: three on their way, one being filled
	sharedPart   = 64 << 20 // larger ones go one at a time through one buffer
	abortTimeout = 30 * time.Second

	// An abort is repeated with a growing pause while parts are under way.
	abortAttempts = 6
	abortPause    = 100 * time.Millisecond
	noSuchUpload  = "NoSuchUpload"
)

// partSize is the size of part number n, counted from 1.
func partSize(n int) int {
	if n <= constantPart {
		return firstPart
	}
	return min(firstPart<<(1+(n-constantPart-1)/growEvery), largestPart)
}

// s3Uploader writes objects of unknown length to one bucket (see doc.go).
type s3Uploader struct {
	client *s3.Client
	bucket string
	// checksum is the algorithm parts are checked with; empty for none.
	checksum types.ChecksumAlgorithm
	// size is partSize; tests make it small.
	size func(n int) int
}

// newS3Uploader follows the client's setting about checksums: all requests of an
// upload have to agree on the algorithm, which the SDK does not see to.
func newS3Uploader(client *s3.Client, bucket string) *s3Uploader {
	u := &s3Uploader{client: client, bucket: bucket, size: partSize}
	if client.Options().RequestChecksumCalculation != aws.RequestChecksumCalculationWhenRequired {
		u.checksum = types.ChecksumAlgorithmCrc32
	}
	return u
}

// upload writes r to key: in one request when it fits into one part.
func (u *s3Uploader) upload(ctx context.Context, key string, r io.Reader) error {
	pool := newPartPool()
	buf, err := pool.take(ctx, u.size(1))
	if err != nil {
		return err
	}
	n, err := io.ReadFull(r, buf)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		_, err = u.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &u.bucket, Key: &key, ContentType: aws.String(contentType), Body: bytes.NewReader(buf[:n]),
		})
		return err
	case err != nil:
		return err
	}
	return u.uploadParts(ctx, key, r, pool, buf)
}

// uploadParts sends first and then the rest of r as parts of one upload.
func (u *s3Uploader) uploadParts(ctx context.Context, key string, r io.Reader, pool *partPool, first []byte) error {
	created, err := u.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.bucket, Key: &key, ContentType: aws.String(contentType), ChecksumAlgorithm: u.checksum,
	})
	if err != nil {
		return fmt.Errorf("start the upload: %w", err)
	}
	m := &multipart{s3Uploader: u, key: key, id: created.UploadId, pool: pool}
	parts, err := m.send(ctx, r, first)
	if err == nil {
		_, err = u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &u.bucket, Key: &key, UploadId: m.id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err != nil {
		return errors.Join(err, m.abort(ctx))
	}
	return nil
}

// multipart is one upload in progress.
type multipart struct {
	*s3Uploader
	key  string
	id   *string
	pool *partPool
}

// send reads r part by part and returns the list that completes the upload.
func (m *multipart) send(ctx context.Context, r io.Reader, first []byte) ([]types.CompletedPart, error) {
	g, gctx := errgroup.WithContext(ctx)
	parts := make([]*types.CompletedPart, 0, 16)
	start := func(buf []byte, n int) {
		part := &types.CompletedPart{PartNumber: aws.Int32(int32(len(parts) + 1))} //nolint:gosec // G115: at most maxParts
		parts = append(parts, part)
		g.Go(func() error {
			defer m.pool.give(buf)
			return m.sendPart(gctx, part, buf[:n])
		})
	}
	start(first, len(first))
	readErr := m.readParts(gctx, r, start)
	if err := g.Wait(); err != nil {
		return nil, err // also the reason why the reading ended
	}
	if readErr != nil {
		return nil, readErr
	}
	done := make([]types.CompletedPart, len(parts))
	for i, part := range parts {
		done[i] = *part
	}
	return done, nil
}

// readParts fills buffers from r and hands each to start, from part 2 to the end.
func (m *multipart) readParts(ctx context.Context, r io.Reader, start func(buf []byte, n int)) error {
	for number := 2; ; number++ {
		if number > maxParts {
			return fmt.Errorf("the data is larger than %d parts hold; split it over several objects", maxParts)
		}
		buf, err := m.pool.take(ctx, m.size(number))
		if err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		switch {
		case err != nil && !end:
			return err
		case n > 0:
			start(buf, n)
		}
		if end {
			return nil
		}
	}
}

func (m *multipart) sendPart(ctx context.Context, part *types.CompletedPart, data []byte) error {
	out, err := m.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &m.bucket, Key: &m.key, UploadId: m.id, PartNumber: part.PartNumber,
		Body: bytes.NewReader(data), ChecksumAlgorithm: m.checksum,
	})
	if err != nil {
		return fmt.Errorf("part %d: %w", *part.PartNumber, err)
	}
	part.ETag = out.ETag
	part.ChecksumCRC32 = out.ChecksumCRC32
	return nil
}

// abort removes the parts, also when ctx is done: an upload that is left open
// shows nowhere and is paid for. A part that is still on its way to the server may
// outlive an abort, so it is repeated until the server knows the upload no more.
func (m *multipart) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
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
		pause, done := context.WithTimeout(ctx, time.Duration(attempt)*abortPause)
		<-pause.Done()
		done()
	}
}

// partPool bounds the memory of an upload: there are never more parts in memory
// than it has buffers.
type partPool struct {
	free chan []byte
	one  bool
}

func newPartPool() *partPool {
	p := &partPool{free: make(chan []byte, partBuffers)}
	for range partBuffers {
		p.free <- nil
	}
	return p
}

// take waits for a buffer and returns it with length size. Only the goroutine
// that reads calls it.
func (p *partPool) take(ctx context.Context, size int) ([]byte, error) {
	if size > sharedPart && !p.one {
		p.one = true
		for range partBuffers - 1 {
			if _, err := p.next(ctx); err != nil {
				return nil, err
			}
		}
	}
	buf, err := p.next(ctx)
	if err != nil {
		return nil, err
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	return buf[:size], nil
}

func (p *partPool) next(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-p.free:
		return buf, ctx.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *partPool) give(buf []byte) { p.free <- buf }

package harness

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bucket is a bucket of an S3 server, seen from outside the cluster.
type Bucket struct {
	Name   string
	client *s3.Client
}

// Object is what lies in a bucket.
type Object struct {
	Key  string
	Size int64
}

// OpenBucket connects to a bucket, and makes it when it is not there.
func OpenBucket(ctx context.Context, endpoint, accessKey, secretKey, name string) (*Bucket, error) {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       "us-east-1",
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(name)})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if err != nil && !errors.As(err, &owned) && !errors.As(err, &exists) {
		return nil, fmt.Errorf("create bucket %s at %s: %w", name, endpoint, err)
	}
	return &Bucket{Name: name, client: client}, nil
}

// List returns the objects below a prefix.
func (b *Bucket) List(ctx context.Context, prefix string) ([]Object, error) {
	var objects []Object
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list bucket %s: %w", b.Name, err)
		}
		for _, o := range page.Contents {
			objects = append(objects, Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size)})
		}
	}
	return objects, nil
}

// Empty deletes every object, those that an earlier, broken run left.
func (b *Bucket) Empty(ctx context.Context) error {
	objects, err := b.List(ctx, "")
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Name, Key: &o.Key}); err != nil {
			return fmt.Errorf("delete %s from bucket %s: %w", o.Key, b.Name, err)
		}
	}
	return nil
}

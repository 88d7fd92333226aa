module github.com/salvor-io/salvor/deploy/local/build/pause

go 1.26.0

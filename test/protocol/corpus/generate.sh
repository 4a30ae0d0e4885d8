#!/bin/sh
# Makes corpus_pb.ts of corpus.proto. Run it in the project's root.
set -eu
ours='rewrite_imports=./ops/**/*_pb.js:../../../src/protocol/generated/'
protoc -I test/protocol/corpus -I proto --plugin=node_modules/.bin/protoc-gen-es \
  --es_out=test/protocol/corpus --es_opt="target=ts,import_extension=js,$ours" corpus.proto

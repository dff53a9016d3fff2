#!/usr/bin/env bash
# deploy/ fits the tree: what the image copies is there, what the unit's file of options sets are options.
# usage: test_deploy.sh BUILD_DIR
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

failed=0
while read -r instruction sources; do
  [[ $instruction == COPY && $sources != --from=* ]] || continue
  for source in ${sources% *}; do
    [[ -e $source ]] || { echo "deploy/Containerfile copies $source, which is not there"; failed=1; }
  done
done < deploy/Containerfile

code=0
elsewhere=(--log - --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0) # of this machine nothing is taken
text=$("$build/samp" serve --config deploy/serve.conf "${elsewhere[@]}" /nowhere/model 2>&1) || code=$?
[[ $code == 2 ]] || { echo "deploy/serve.conf is not understood (exit code $code): $text"; failed=1; }

exit $failed

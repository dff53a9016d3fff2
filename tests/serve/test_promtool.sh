#!/usr/bin/env bash
# test_promtool.sh BUILD: Prometheus' own tools read what a server tells and what deploy/ has for them. Skipped where
# there are none (tools/setup.sh watching fetches Debian's).
set -u
PATH=$PATH:$SAMP_SOURCE/build/watching/usr/bin
deploy=$SAMP_SOURCE/deploy
for tool in promtool amtool; do
    command -v $tool >/dev/null || { echo "skipped: no $tool; tools/setup.sh watching fetches it"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

"$1/test_serve_watching" "$work/metrics" >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
# Names of vLLM's have colons, and one a histogram that ends in _total: that is what compatible means.
promtool check metrics <"$work/metrics" >"$work/lint" 2>&1
code=$?
[ $code = 0 ] || [ $code = 3 ] || fail "promtool cannot read /metrics: exit $code"
grep -v '^vllm:' "$work/lint" >"$work/ours" && { fail "of names that are ours promtool says:"; cat "$work/ours"; }
grep -q "^vllm:.*should not contain ':'" "$work/lint" || fail "promtool found no colon: does it read /metrics at all?"
echo 'samp_planted_total{a="b" 1' | promtool check metrics >/dev/null 2>&1 && fail "promtool accepts a broken line"

promtool check config "$deploy/prometheus.yml" || fail "prometheus.yml"
promtool check rules "$deploy/alerts.yml" || fail "alerts.yml"
promtool test rules "$deploy/alerts_test.yml" || fail "alerts_test.yml"
amtool check-config "$deploy/alertmanager.yml.example" || fail "alertmanager.yml.example"
exit $failed

// Load test of the stack "{{name}}" for k6: the scenarios and thresholds of `appforge load`.
//
//   k6 run load-test.js                                     all scenarios, one after the other
//   k6 run -e SCENARIO=stress load-test.js                  one of them
//   BASE_URL=http://your-server.com k6 run load-test.js     another address
//   k6 run --duration 10m --vus 100 load-test.js            that many users for that long
//
// With PROBE_SECRET set to the stack's probe secret, each user counts as a client of its own; without it all requests
// come from one client and the rate limiter refuses most of them (reported as http_req_limited).
import http from 'k6/http';
import crypto from 'k6/crypto';
import { check, sleep } from 'k6';
import { Rate } from 'k6/metrics';

const BASE_URL = __ENV.BASE_URL || {{base_url}};
const THINK_TIME = {{think_time}};
const REQUESTS_PER_CLIENT = {{requests_per_client}};
const STEPS = {{steps}};
const SCENARIOS = {{scenarios}};

const limited = new Rate('http_req_limited');
// 429 is the limiter's work, not a failure; it is counted apart.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }, 429));

// k6 replaces the scenarios itself when --vus, --duration or --stage is given.
export const options = {
  scenarios: __ENV.SCENARIO ? { [__ENV.SCENARIO]: { ...SCENARIOS[__ENV.SCENARIO], startTime: '0s' } } : SCENARIOS,
  thresholds: {{thresholds}},
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)'],
};

const RUN = Date.now().toString(36);
let sent = 0;

// "v1;client=NAME;exp=UNIX_SECONDS;sig=HEX": the service takes it for a client of that name.
function identity() {
  const client = `k6-${RUN}-${__VU}-${Math.floor(sent / REQUESTS_PER_CLIENT)}`;
  const text = `v1;client=${client};exp=${Math.floor(Date.now() / 1000) + 600}`;
  return `${text};sig=${crypto.hmac('sha256', __ENV.PROBE_SECRET, text, 'hex')}`;
}

function choose() {
  let point = Math.random() * STEPS.reduce((sum, step) => sum + step.weight, 0);
  return STEPS.find((step) => (point -= step.weight) < 0) || STEPS[0];
}

export default function () {
  const step = choose();
  const headers = __ENV.PROBE_SECRET ? { '{{header}}': identity() } : {};
  sent += 1;
  const answer = http.get(BASE_URL + step.path, { headers, tags: { name: step.name } });
  limited.add(answer.status === 429);
  if (answer.status !== 429) {
    check(answer, { [`${step.name}: status is {{expected}}`]: (a) => {{condition}} });
  }
  sleep(THINK_TIME);
}

export function handleSummary(data) {
  return { 'load-test-results.json': JSON.stringify(data, null, 2), stdout: summary(data) };
}

function summary(data) {
  const lines = Object.entries(data.metrics)
    .filter(([, metric]) => metric.thresholds)
    .flatMap(([name, metric]) =>
      Object.entries(metric.thresholds).map(([text, { ok }]) => `${ok ? 'pass' : 'FAIL'}  ${name} ${text}`));
  return lines.join('\n') + '\n';
}

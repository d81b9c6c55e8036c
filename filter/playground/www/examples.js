// Policies to begin with, each with requests and cases. They are tested: scripts/test runs every one.

const policy = (value) => JSON.stringify(value, null, 2).replaceAll(/\[\s+("[^"]*"|\d+)(?:,\s+("[^"]*"|\d+))?\s+\]/g, (_, one, two) => (two === undefined ? `[${one}]` : `[${one}, ${two}]`));
const org = (path) => `spiffe://example.org${path}`;

const SHOP_CASES = `policy: policy.json
cases:
- name: the frontend reads
  peer: spiffe://example.org/frontend
  method: GET
  path: /api/users
  expect: allow
- name: the frontend does not write
  peer: spiffe://example.org/frontend
  method: POST
  path: /api/users
  expect: {decision: deny, reason: no_rule}
- name: only ops gets at the admin pages
  peer: spiffe://example.org/frontend
  method: GET
  path: /admin/
  expect: {decision: deny, rule: no-admin}
- name: nobody without certificate
  plaintext: true
  expect: deny
`;

export const EXAMPLES = [
  {
    name: 'A web shop',
    policy: policy({
      trustDomains: ['example.org'],
      rules: [
        { name: 'frontend-reads', principals: [org('/frontend'), org('/team/*')], methods: ['GET'], paths: ['/', '/api/*'] },
        { name: 'ops', namespaces: ['ops'] },
        { name: 'no-admin', action: 'DENY', notNamespaces: ['ops'], paths: ['/admin', '/admin/*'] },
      ],
    }),
    cases: SHOP_CASES,
    requests: [
      { name: 'the frontend reads', request: { peer: org('/frontend'), method: 'GET', path: '/api/users?page=2' } },
      { name: 'the frontend writes', request: { peer: org('/frontend'), method: 'POST', path: '/api/users' } },
      { name: 'admin pages, not by ops', request: { peer: org('/frontend'), method: 'GET', path: '/admin/keys' } },
      { name: 'admin pages, by ops', request: { peer: org('/ns/ops/sa/console'), method: 'GET', path: '/admin/keys' } },
      { name: 'a path in disguise', request: { peer: org('/frontend'), method: 'GET', path: '/api/..%2fadmin' } },
      { name: 'no certificate', request: { plaintext: true, method: 'GET', path: '/' } },
      { name: 'another trust domain', request: { peer: 'spiffe://evil.example.net/frontend', method: 'GET', path: '/' } },
    ],
  },
  {
    name: 'A rule tried as a dry run',
    policy: policy({
      trustDomains: ['example.org'],
      rules: [
        { name: 'everybody-reads', methods: ['GET'], principals: ['*'] },
        { name: 'reports-only-inside', action: 'DENY', dryRun: true, paths: ['/reports/*'], notPrincipals: ['*/sa/finance'] },
        { name: 'watched', action: 'AUDIT', paths: ['/reports/*'] },
      ],
    }),
    cases: `policy: policy.json
cases:
- name: still allowed, soon not
  peer: spiffe://example.org/ns/web/sa/site
  method: GET
  path: /reports/2026
  expect: {decision: allow, would: deny}
- name: finance stays
  peer: spiffe://example.org/ns/books/sa/finance
  method: GET
  path: /reports/2026
  expect: {decision: allow, rule: everybody-reads, would: allow}
`,
    requests: [
      { name: 'would be denied', request: { peer: org('/ns/web/sa/site'), method: 'GET', path: '/reports/2026' } },
      { name: 'would stay allowed', request: { peer: org('/ns/books/sa/finance'), method: 'GET', path: '/reports/2026' } },
      { name: 'no rule', request: { peer: org('/ns/web/sa/site'), method: 'PUT', path: '/' } },
    ],
  },
  {
    name: 'A database, over TCP',
    policy: policy({
      trustDomains: ['example.org', 'partner.example'],
      portLevelMtls: { 9090: { mode: 'PERMISSIVE' } },
      rules: [
        { name: 'orders', principals: [org('/ns/shop/sa/orders')], ports: [5432], ipBlocks: ['10.0.0.0/8'] },
        { name: 'partners', trustDomains: ['partner.example'], ports: [5432] },
        { name: 'metrics', ports: [9090], ipBlocks: ['10.0.0.0/8'] },
      ],
    }),
    cases: `policy: policy.json
cases:
- name: orders, from inside
  peer: spiffe://example.org/ns/shop/sa/orders
  tcp: true
  port: 5432
  source: 10.1.2.3
  expect: {decision: allow, rule: orders}
- name: orders, from anywhere else
  peer: spiffe://example.org/ns/shop/sa/orders
  tcp: true
  port: 5432
  source: 192.0.2.7
  expect: deny
`,
    requests: [
      { name: 'orders, from inside', request: { peer: org('/ns/shop/sa/orders'), port: 5432, source: '10.1.2.3', tcp: true } },
      { name: 'orders, from elsewhere', request: { peer: org('/ns/shop/sa/orders'), port: 5432, source: '192.0.2.7', tcp: true } },
      { name: 'source not known', request: { peer: org('/ns/shop/sa/orders'), port: 5432, tcp: true } },
      { name: 'a partner', request: { peer: 'spiffe://partner.example/app', port: 5432, tcp: true } },
      { name: 'metrics in plain text', request: { plaintext: true, port: 9090, source: '10.9.9.9', tcp: true } },
    ],
  },
];

export const ISTIO = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  action: ALLOW
  rules:
  - from:
    - source: {principals: [cluster.local/ns/web/sa/frontend]}
    to:
    - operation: {methods: [GET], paths: [/orders/*]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`;

/** The policy engine of Credence's Envoy filter, as a module for Node. */

export type Word = 'allow' | 'deny';
export type Action = 'ALLOW' | 'DENY' | 'AUDIT';

/** Why a policy decided as it did; docs/metrics.md says what each means. */
export type Reason =
  | 'allow_rule'
  | 'allow_default'
  | 'dry_run'
  | 'deny_rule'
  | 'no_rule'
  | 'mtls_required'
  | 'trust_domain'
  | 'source_unknown'
  | 'port_unknown'
  | 'method_missing'
  | 'method_not_canonical'
  | 'host_missing'
  | 'host_not_canonical'
  | 'path_missing'
  | 'path_not_canonical';

/** Who asks: a peer with a SPIFFE ID, or one without certificate. */
export type Client = { readonly peer: string; readonly plaintext?: false } | { readonly plaintext: true; readonly peer?: undefined };

/** What a connection came to and from. */
export interface Connection {
  /** 1 to 65535. */
  readonly port?: number;
  /** An IP address. */
  readonly source?: string;
}

/** What is asked for; what is left out is missing from the request. */
export interface Http {
  readonly method?: string;
  /** The target as it is sent, with its query if it has one. */
  readonly path?: string;
  /** With its port if it names one. */
  readonly host?: string;
  readonly tcp?: false;
}

/** A connection that carries no HTTP. */
export interface Tcp {
  readonly tcp: true;
}

export type Request = Client & Connection & (Http | Tcp);

export interface Outcome {
  readonly decision: Word;
  readonly reason: Reason;
  /** The rule that decided; left out where it was the lack of one. */
  readonly rule?: string;
}

export interface Decision extends Outcome {
  /** What would have been decided if nothing were a dry run, where that is not what is. */
  readonly would?: Outcome;
  /** The AUDIT rules that match, if any do. */
  readonly audited?: readonly string[];
}

/** Whether a rule matches, and if not, why. `why` says it in words. */
export type RuleExplanation = {
  readonly name: string;
  readonly action: Action;
  readonly dryRun: boolean;
  readonly why: string;
} & (
  | { readonly verdict: 'matches' | 'only_for_http'; readonly field: null; readonly reason: null }
  | { readonly verdict: 'does_not_match'; readonly field: string; readonly reason: null }
  | { readonly verdict: 'cannot_tell' | 'not_reached'; readonly field: null; readonly reason: Reason }
);

export interface Explanation {
  readonly decision: Decision;
  /** A sentence for the person whose request it was. */
  readonly sentence: string;
  /** The position of the rule that decided, from 0. */
  readonly ruleIndex: number | null;
  /** Every rule, in the policy's order. */
  readonly rules: readonly RuleExplanation[];
}

export interface Fault {
  /** A JSON pointer; empty for the whole document. */
  readonly pointer: string;
  /** What is wrong, and what to write instead. */
  readonly message: string;
}

export interface PolicyFault extends Fault {
  /** From 1. */
  readonly line: number;
  /** In characters, from 1. */
  readonly column: number;
}

export interface About {
  /** As `credence policy check` says it. */
  readonly summary: string;
  /** The rules' names, in the policy's order. */
  readonly rules: readonly string[];
  /** How many entries for servers there are. */
  readonly servers: number;
  /** What of a connection the filter has to be able to tell. */
  readonly needs: readonly ('port' | 'source address')[];
  /** Whether it refuses nothing. */
  readonly dryRun: boolean;
}

export type Checked =
  | { readonly ok: true; readonly policy: About }
  | { readonly ok: true; readonly role: string }
  | { readonly ok: false; readonly faults: readonly PolicyFault[]; readonly unlisted: number };

export interface Place {
  readonly file: string;
  /** The line that the document begins in, from 1. */
  readonly line: number;
  /** Empty if it has no name yet. */
  readonly resource: string;
  /** Empty for all of it. */
  readonly field: string;
}

export interface Note {
  readonly message: string;
  /** None for what is no file's. */
  readonly place: Place | null;
}

export interface Imported {
  /** The policy document. */
  readonly policy: string;
  /** What has no counterpart. */
  readonly warnings: readonly Note[];
}

export interface Source {
  readonly name: string;
  readonly text: string;
}

/** The flags of `credence policy import`. */
export interface ImportOptions {
  /** The mesh's own trust domain; `cluster.local` if left out. */
  readonly trustDomain?: string;
  readonly aliases?: readonly string[];
  readonly federated?: readonly string[];
  readonly namespace?: string;
  readonly rootNamespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly target?: string;
}

export interface Expected {
  readonly decision: Word;
  readonly reason?: Reason;
  readonly rule?: string;
  readonly would?: Word;
}

export interface CaseResult {
  readonly name: string;
  readonly asExpected: boolean;
  readonly expected: Expected;
  readonly is: Decision;
}

export interface TestReport {
  readonly cases: number;
  readonly failed: number;
  readonly results: readonly CaseResult[];
}

/** What every error of this module is; its `message` has every fault, one a line. */
export abstract class CredenceError extends Error {
  readonly kind: 'policy' | 'request' | 'cases' | 'import';
}

/** The policy is none. */
export class PolicyError extends CredenceError {
  private constructor();
  readonly kind: 'policy';
  readonly faults: readonly PolicyFault[];
  /** How many more there were than are listed. */
  readonly unlisted: number;
}

/** The request is none. */
export class RequestError extends CredenceError {
  private constructor();
  readonly kind: 'request';
  readonly faults: readonly Fault[];
}

/** The file of cases is none. */
export class CasesError extends CredenceError {
  private constructor();
  readonly kind: 'cases';
  readonly faults: readonly { readonly message: string }[];
}

/** It cannot be told what the files mean. */
export class ImportError extends CredenceError {
  private constructor();
  readonly kind: 'import';
  readonly faults: readonly Note[];
}

/** Says whether a text is a policy, or a filter's configuration; as `credence policy check`. */
export function check(policy: string): Checked;

/** A policy, compiled once. */
export class Policy {
  /**
   * Reads a policy, bare or in a filter's configuration.
   * @throws {PolicyError} with every fault
   */
  constructor(policy: string);
  /** The policy in short. */
  about(): About;
  /**
   * How it decides, and what each rule has to do with it; as `credence policy explain`.
   * @throws {RequestError} if the request is none
   */
  explain(request: Request): Explanation;
  /**
   * The decision alone.
   * @throws {RequestError} if the request is none
   */
  decide(request: Request): Decision;
  /** Gives its memory back now rather than when it is collected; it cannot be asked any more. */
  free(): void;
}

/**
 * Reads Istio's AuthorizationPolicy and PeerAuthentication; as `credence policy import`.
 * @throws {ImportError} if it cannot be told what they mean
 */
export function importIstio(sources: readonly Source[], options?: ImportOptions): Imported;

/**
 * Compares decisions with expected ones; as `credence policy test`. `readPolicy` is given the name of the
 * policy's file, if the cases name one, and gives its text.
 * @throws {CasesError} if the cases are none
 * @throws {PolicyError} if the policy that was read is none
 */
export function runCases(cases: string, readPolicy?: (file: string) => string): TestReport;

/**
 * The same for a file on disk; the policy's file is looked for beside it.
 * @throws {CasesError} if the cases are none
 * @throws {PolicyError} if the policy is none
 */
export function runCasesFile(path: string): TestReport;

/** `deny (deny_rule: no-writes)` */
export function decisionInWords(outcome: Outcome): string;

/** A note with its place, in a line. */
export function noteInWords(note: Note): string;

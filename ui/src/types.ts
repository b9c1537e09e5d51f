// SPDX-License-Identifier: Apache-2.0
// Short names for what the API takes and answers. api-types.ts is made of docs/openapi.yaml when the console is built.

import type { components } from "./api-types";

type S = components["schemas"];
type KeysOf<U> = U extends unknown ? keyof U : never;
/** One of several forms, where a member of another form may be asked for, and is not there. */
type OneOf<U, K extends PropertyKey = KeysOf<U>> = U extends unknown ? U & { [P in Exclude<K, keyof U>]?: undefined } : never;

export type ProblemBody = Omit<S["ProblemFields"], "type" | "errors"> & { type: string; count?: number; digest?: string; errors?: OneOf<S["ErrorInBody"] | S["ErrorInParameter"]>[] };
export type Me = OneOf<S["Me"]>;
export type AgentRow = S["AgentRow"];
export type AgentRowPage = Omit<S["AgentPage"], "agents"> & { agents: AgentRow[] };
export type Agent = S["AgentDetail"];
export type Update = S["Update"];
export type Durations = S["UpdateDurations"];
export type Counted = S["Tally"];
export type AgentSummary = S["AgentSummary"];
export type Match = S["Match"];
export type LabelKeys = S["LabelList"];
export type GroupPage = S["GroupPage"];
export type Release = S["Release"];
export type Releases = S["ReleaseList"];
export type MetadataRole = S["MetadataRole"];
export type Import = S["Import"];
export type Imported = S["Imported"];
/** As it is sent: what is left out is the gateway's to say. */
export type Strategy = S["StrategyRequest"];
export type Target = OneOf<S["Target"]>;
export type Preview = S["RolloutPreview"];
export type Rollout = S["Rollout"];
export type RolloutPage = S["RolloutPage"];
export type RolloutWhole = S["RolloutDetail"];
export type RolloutPlan = Omit<S["RolloutPlan"], "target"> & { target: OneOf<S["TargetShown"]> };
export type RolloutMember = S["RolloutMember"];
export type RolloutMemberPage = S["RolloutMemberPage"];
export type Scope = S["Scope"];
export type Weekday = S["Weekday"];
export type Capability = S["Capability"];
export type MemberState = S["MemberState"];
export type JoinToken = S["JoinToken"] & Partial<Pick<S["JoinTokenCreated"], "token">>;
export type ApiToken = S["ApiToken"] & Partial<Pick<S["ApiTokenCreated"], "token">>;
export type User = S["User"];
export type AuditPage = Omit<S["AuditPage"], "entries"> & { entries: OneOf<S["AuditItem"] | S["AuditDamaged"]>[] };

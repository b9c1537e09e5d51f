// SPDX-License-Identifier: Apache-2.0
// Short names for what the API answers.

import type { components } from "./api-types";

type S = components["schemas"];

export type ProblemBody = S["Problem"];
export type Me = S["Me"];
export type AgentRow = S["AgentRow"];
export type AgentRowPage = S["AgentRowPage"];
export type Agent = S["Agent"];
export type Update = S["Update"];
export type Durations = S["Durations"];
export type Counted = S["Counted"];
export type AgentSummary = S["AgentSummary"];
export type Match = S["Match"];
export type LabelKeys = S["LabelKeys"];
export type Group = S["Group"];
export type GroupPage = S["GroupPage"];
export type Desired = S["Desired"];
export type Release = S["Release"];
export type Releases = S["Releases"];
export type MetadataRole = S["MetadataRole"];
export type Import = S["Import"];
export type Imported = S["Imported"];
export type Strategy = S["Strategy"];
export type Target = S["Target"];
export type Preview = S["Preview"];
export type Rollout = S["Rollout"];
export type RolloutPage = S["RolloutPage"];
export type RolloutWhole = S["RolloutWhole"];
export type RolloutPlan = S["RolloutPlan"];
export type RolloutMember = S["RolloutMember"];
export type RolloutMemberPage = S["RolloutMemberPage"];
export type MemberState = keyof S["MemberCounts"];
export type JoinToken = S["JoinToken"];
export type ApiToken = S["ApiToken"];
export type User = S["User"];
export type AuditPage = S["AuditPage"];
export type AuditEntry = S["AuditEntry"];

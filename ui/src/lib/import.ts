// SPDX-License-Identifier: Apache-2.0
// A repository, as fleet-release publishes it, on its way to the gateway, which verifies it.

import type { Import, Imported } from "../types";
import { isServed, putFile, request } from "./api";
import { Problem } from "./problem";

export interface ImportFile {
  /** "metadata/1.root.json", "targets/agent/1.1.0/linux-x86_64/HASH.agent" */
  path: string;
  file: File;
}

/** Of what was chosen, what belongs to a repository; folders around it do not matter. */
export function repositoryFiles(files: { name: string; path: string; file: File }[]): ImportFile[] {
  const found: ImportFile[] = [];
  for (const f of files) {
    const match = /(?:^|\/)((?:metadata|targets)\/.+)$/.exec(f.path);
    if (match?.[1] && !f.name.startsWith(".")) found.push({ path: match[1], file: f.file });
  }
  return found.sort((a, b) => a.path.localeCompare(b.path));
}

export function checkRepository(files: ImportFile[]): string | undefined {
  if (files.some((f) => f.path === "metadata/timestamp.json")) return undefined;
  return "This folder is no repository: metadata/timestamp.json is not in it. Choose the folder that fleet-release publish has written.";
}

export interface ImportProgress {
  sent: number;
  total: number;
  name: string;
}

/** Sends what the gateway does not have yet, and has it verified. Nothing is left behind when that does not succeed. */
export async function importRepository(
  files: ImportFile[],
  onProgress: (p: ImportProgress) => void,
  signal: AbortSignal,
): Promise<Imported> {
  const begun = (await request<Import>("POST", "/imports", { body: {}, signal })).data;
  const total = files.reduce((n, f) => n + f.file.size, 0);
  let sent = 0;
  try {
    for (const f of files) {
      onProgress({ sent, total, name: f.path });
      const max = f.path.startsWith("metadata/") ? begun.max_metadata_bytes : begun.max_target_bytes;
      if (f.file.size > max) {
        throw new Problem(413, { type: "too-large", title: "A file is too large", detail: `${f.path} has ${f.file.size} bytes; the gateway takes ${max}.` });
      }
      const there = f.path.startsWith("targets/") && (await isServed(f.path, signal));
      if (!there) await putFile(`/imports/${begun.id}/files/${f.path.split("/").map(encodeURIComponent).join("/")}`, f.file, signal);
      sent += f.file.size;
    }
    onProgress({ sent, total, name: "" });
    return (await request<Imported>("POST", `/imports/${begun.id}/commit`, { body: {}, signal })).data;
  } catch (error) {
    // one that was refused is gone already
    await request("DELETE", `/imports/${begun.id}`).catch(() => undefined);
    throw error;
  }
}

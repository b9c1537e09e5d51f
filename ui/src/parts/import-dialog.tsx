// SPDX-License-Identifier: Apache-2.0
// A repository is chosen, sent, and verified by the gateway.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { formatBytes, plural } from "../lib/format";
import { type ImportFile, type ImportProgress, checkRepository, importRepository, repositoryFiles } from "../lib/import";
import { useAction } from "../lib/resource";
import { Note } from "./basics";
import { Confirm } from "./dialog";
import { toast } from "./toast";

export function ImportDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [files, setFiles] = useState<ImportFile[]>();
  const [progress, setProgress] = useState<ImportProgress>();
  const action = useAction();
  const stop = useRef(new AbortController());
  const id = useId();
  useEffect(() => () => stop.current.abort(), []);

  const wrong = files && checkRepository(files);
  const size = (files ?? []).reduce((n, f) => n + f.file.size, 0);
  const take = (list: FileList | null) => {
    action.clear();
    setFiles(repositoryFiles([...(list ?? [])].map((file) => ({ name: file.name, path: file.webkitRelativePath || file.name, file }))));
  };
  const send = () =>
    void action.run(async () => {
      const done = await importRepository(files ?? [], setProgress, stop.current.signal);
      toast(done.imported.length > 0 ? `Imported ${done.imported.join(", ")}.` : "The repository was verified; it holds no new release.");
      onDone();
      onClose();
    });

  return (
    <Confirm
      title="Import a repository"
      verb={action.busy ? "Importing…" : "Import"}
      busy={action.busy}
      problem={action.problem}
      blocked={!files || files.length === 0 || wrong !== undefined}
      onClose={onClose}
      onConfirm={send}
    >
      <p>
        Choose the folder that <code>fleet-release publish</code> has written. The gateway verifies every signature from its own trusted root,
        as each agent does again; nothing unsigned gets in, and a repository that is refused changes nothing.
      </p>
      <div class="field">
        <label for={id}>Folder of the repository</label>
        <input
          id={id}
          type="file"
          multiple
          disabled={action.busy}
          ref={(el) => {
            // not in the types of the platform, and in all browsers
            el?.setAttribute("webkitdirectory", "");
          }}
          onChange={(e) => take(e.currentTarget.files)}
        />
      </div>
      {wrong && <Note tone="bad">{wrong}</Note>}
      {files && !wrong && (
        <p class="muted">
          {plural(files.length, "file")}, {formatBytes(size)}. What the gateway serves already is not sent again.
        </p>
      )}
      {action.busy && progress && (
        <div class="download">
          <progress max={Math.max(1, progress.total)} value={progress.sent} aria-label="Sent" />
          <span>{progress.name ? `${formatBytes(progress.sent)} of ${formatBytes(progress.total)}` : "Verifying…"}</span>
        </div>
      )}
    </Confirm>
  );
}

// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { request } from "../lib/api";
import { useAction } from "../lib/resource";
import { Confirm } from "./dialog";
import { Input } from "./form";
import { toast } from "./toast";

export const PASSWORD_HINT = "At least 12 characters; a few words do well.";

export function PasswordDialog({ onClose }: { onClose: () => void }) {
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const action = useAction();
  const differs = again !== "" && again !== fresh;
  return (
    <Confirm
      title="Change your password"
      verb="Change password"
      busy={action.busy}
      problem={action.problem}
      blocked={old === "" || fresh === "" || again !== fresh}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          await request("PUT", "/me/password", { body: { old, new: fresh } });
          toast("Your password was changed. Your other sessions have ended.");
          onClose();
        })
      }
    >
      <Input label="Present password" type="password" autocomplete="current-password" value={old} onValue={setOld} />
      <Input label="New password" type="password" autocomplete="new-password" hint={PASSWORD_HINT} value={fresh} onValue={setFresh} error={action.problem?.of("/new")} />
      <Input label="New password, again" type="password" autocomplete="new-password" value={again} onValue={setAgain} error={differs ? "The two are not the same." : undefined} />
    </Confirm>
  );
}

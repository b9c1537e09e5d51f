// SPDX-License-Identifier: Apache-2.0
// What a page shows of the gateway. A newer request cancels the older one; what was there stays until the new is.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, asProblem, isAbort } from "./problem";

export interface Resource<T> {
  data: T | undefined;
  problem: Problem | undefined;
  /** A request is under way. */
  busy: boolean;
  /** The data belong to another key than the one that is asked for. */
  outdated: boolean;
  reload: () => void;
  /** Replaces what is shown, when an event or an answer brought something newer. */
  put: (change: (data: T) => T) => void;
}

export function useResource<T>(key: string | undefined, load: (signal: AbortSignal) => Promise<T>): Resource<T> {
  const [state, setState] = useState<{ key?: string; data?: T; problem?: Problem; busy: boolean }>({
    busy: key !== undefined,
  });
  const [turn, setTurn] = useState(0);
  const loader = useRef(load);
  loader.current = load;

  useEffect(() => {
    if (key === undefined) return;
    const control = new AbortController();
    setState((s) => ({ ...s, busy: true }));
    loader.current(control.signal).then(
      (data) => {
        if (!control.signal.aborted) setState({ key, data, busy: false });
      },
      (error: unknown) => {
        if (control.signal.aborted || isAbort(error)) return;
        setState((s) => {
          const kept = s.key === key && s.data !== undefined ? { data: s.data } : {};
          return { key, ...kept, problem: asProblem(error), busy: false };
        });
      },
    );
    return () => control.abort();
  }, [key, turn]);

  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const put = useCallback((change: (data: T) => T) => {
    setState((s) => (s.data === undefined ? s : { ...s, data: change(s.data) }));
  }, []);
  return {
    data: state.data,
    problem: state.key === key ? state.problem : undefined,
    busy: state.busy,
    outdated: state.key !== key,
    reload,
    put,
  };
}

/** For what a person has asked for: one at a time, with its problem beside the button. */
export function useAction(): {
  busy: boolean;
  problem: Problem | undefined;
  run: (work: () => Promise<void>) => Promise<boolean>;
  clear: () => void;
} {
  const [state, setState] = useState<{ busy: boolean; problem?: Problem }>({ busy: false });
  const running = useRef(false);
  const mounted = useRef(true);
  useEffect(
    () => () => {
      mounted.current = false;
    },
    [],
  );

  const run = useCallback(async (work: () => Promise<void>) => {
    if (running.current) return false;
    running.current = true;
    setState({ busy: true });
    try {
      await work();
      if (mounted.current) setState({ busy: false });
      return true;
    } catch (error) {
      if (mounted.current) setState({ busy: false, problem: asProblem(error) });
      return false;
    } finally {
      running.current = false;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: false }), []);
  return { busy: state.busy, problem: state.problem, run, clear };
}

/** A value that follows another after it has been quiet for a while: what is typed. */
export function useSettled<T>(value: T, milliseconds: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(() => value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}

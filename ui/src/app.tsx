// SPDX-License-Identifier: Apache-2.0
// Which page, for whom.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { startLive, stopLive } from "./lib/live";
import { asProblem, type Problem } from "./lib/problem";
import { usePlace } from "./lib/router";
import { loadSession, session } from "./lib/session";
import { useStore } from "./lib/store";
import AgentsPage from "./pages/agents";
import { FirstRun, SignIn } from "./pages/sign-in";
import { Empty, Link, Page, ProblemNote, Waiting } from "./parts/basics";
import { Frame } from "./parts/frame";

type PageModule = { default: ComponentType<{ id: string }> };

function later(load: () => Promise<PageModule>): ComponentType<{ id: string }> {
  let loaded: PageModule | undefined;
  return function Later(props: { id: string }) {
    const [module, setModule] = useState(loaded);
    const [problem, setProblem] = useState<Problem>();
    useEffect(() => {
      if (module) return;
      let there = true;
      load().then(
        (m) => {
          loaded = m;
          if (there) setModule(m);
        },
        (error: unknown) => there && setProblem(asProblem(error)),
      );
      return () => {
        there = false;
      };
    }, [module]);
    if (problem) return <ProblemNote problem={problem} onRetry={() => location.reload()} />;
    if (!module) return <Waiting rows={4} />;
    const Loaded = module.default;
    return <Loaded {...props} />;
  };
}

const AgentPage = later(() => import("./pages/agent"));
const RolloutsPage = later(() => import("./pages/rollouts"));
const RolloutPage = later(() => import("./pages/rollout"));
const NewRolloutPage = later(() => import("./pages/new-rollout"));
const OverviewPage = later(() => import("./pages/overview"));
const ReleasesPage = later(() => import("./pages/releases"));
const EnrolmentPage = later(() => import("./pages/enrolment"));
const PeoplePage = later(() => import("./pages/people"));
const AuditPage = later(() => import("./pages/audit"));

const routes: { path: RegExp; page: ComponentType<{ id: string }> }[] = [
  { path: /^\/$/, page: OverviewPage },
  { path: /^\/agents$/, page: AgentsPage as ComponentType<{ id: string }> },
  { path: /^\/agents\/([^/]+)$/, page: AgentPage },
  { path: /^\/rollouts$/, page: RolloutsPage },
  { path: /^\/rollouts\/new$/, page: NewRolloutPage },
  { path: /^\/rollouts\/(\d+)$/, page: RolloutPage },
  { path: /^\/releases$/, page: ReleasesPage },
  { path: /^\/enrolment$/, page: EnrolmentPage },
  { path: /^\/people$/, page: PeoplePage },
  { path: /^\/audit$/, page: AuditPage },
];

function NotFound() {
  return (
    <Page title="There is no such page">
      <Empty title="Nothing is at this address">
        <p>
          It may have been mistyped. <Link to="/">Overview</Link>
        </p>
      </Empty>
    </Page>
  );
}

function CurrentPage() {
  const { path } = usePlace();
  for (const route of routes) {
    const match = route.path.exec(path);
    if (!match) continue;
    const Found = route.page;
    // another agent or rollout is another page
    return <Found key={path} id={decodeURIComponent(match[1] ?? "")} />;
  }
  return <NotFound />;
}

export function App() {
  const s = useStore(session);
  const name = s.phase === "signed-in" ? (s.me.session ?? s.me.name) : undefined;
  useEffect(() => {
    if (name === undefined) return;
    startLive(name);
    return stopLive;
  }, [name]);

  switch (s.phase) {
    case "loading":
      return <main class="door" aria-busy="true" />;
    case "unreachable":
      return (
        <main class="door">
          <ProblemNote problem={s.problem} onRetry={() => void loadSession()} />
        </main>
      );
    case "setup":
      return <FirstRun />;
    case "signed-out":
      return <SignIn ended={s.ended} />;
    case "signed-in":
      return (
        <Frame me={s.me}>
          <CurrentPage />
        </Frame>
      );
  }
}

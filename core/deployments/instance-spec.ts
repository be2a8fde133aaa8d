import type { InstanceSpec } from '#adapters/targets/target.ts';
import type { Project } from '../projects/projects.ts';
import type { Deployment, Environment, Release } from './environments.ts';

/** What is started for a deployment of a release that was built. */
export function specOf(
  rows: { deployment: Deployment; environment: Environment; project: Project; release: Release },
  limits: InstanceSpec['limits'],
): InstanceSpec {
  const { deployment, environment, project, release } = rows;
  if (release.image === null || release.port === null) throw new Error(`release ${release.id} was not built`);
  return {
    key: deployment.id,
    image: release.image,
    port: release.port,
    labels: {
      app: environment.host,
      project: project.name,
      environment: environment.name,
      commit: release.commit_sha,
    },
    env: { ...release.variables?.[environment.name], PORT: String(release.port) },
    limits,
  };
}

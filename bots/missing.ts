import type { SurfaceFactory } from './index.ts';

/** The settings that keep a surface from being on, alternatives joined by "or"; empty when it is. */
export const missing = (surface: SurfaceFactory, settings: Readonly<Record<string, unknown>>): string[] =>
  surface.needs
    .filter((names) => names.every((name) => settings[name] === undefined))
    .map((names) => names.join(' or '));

import picomatch from 'picomatch';

const CONVENTIONS = [
  '**/{test,tests,__tests__,spec,e2e}/**',
  '**/*.{test,spec}.*',
  '**/*[_-]{test,spec}.*',
  '**/test_*.py',
  '**/conftest.py',
  '**/*{Test,Tests}.{java,kt,cs}',
];

const matches = picomatch(CONVENTIONS, { dot: true });

/** By the conventions of the languages: a file that only tests. */
export const isTestFile = (path: string): boolean => matches(path);

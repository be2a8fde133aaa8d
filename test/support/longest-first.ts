import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What runs for a minute and more: begun last, it would leave a core idle at the end. */
const LONG = /\/test\/(e2e|adapters\/targets|observability\/stack)\//;

/** On a machine that has not run the tests before, nothing but this is known of how long they take. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

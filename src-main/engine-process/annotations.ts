/** Tags and notes that the user gave to runs, in one small file of the data folder. What they are about is in the store. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../engine/base/atomic-file.ts';

export const annotationSchema = z.strictObject({
  tags: z.array(z.string().min(1).max(40)).max(20),
  note: z.string().max(10_000),
});
export type Annotation = z.output<typeof annotationSchema>;

const fileSchema = z.record(z.string(), annotationSchema);
const fileOf = (dataFolder: string) => join(dataFolder, 'annotations.json');

/** By run; empty where there is no file, or one that cannot be read: notes are not worth an error. */
export function readAnnotations(dataFolder: string): Record<string, Annotation> {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(fileOf(dataFolder), 'utf8')));
  } catch {
    return {};
  }
}

/** What a run without annotations has. */
export const noAnnotation: Annotation = { tags: [], note: '' };

/** Null removes. */
export function writeAnnotation(dataFolder: string, runId: string, annotation: Annotation | null): void {
  const { [runId]: _, ...others } = readAnnotations(dataFolder);
  const all = annotation === null ? others : { ...others, [runId]: annotation };
  mkdirSync(dataFolder, { recursive: true });
  writeFileAtomic(fileOf(dataFolder), JSON.stringify(all, null, 2));
}

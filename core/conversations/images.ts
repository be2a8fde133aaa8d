import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Schema } from '../store/schema.ts';

/** Pictures that cards show, kept beside them, so that whichever process sends a card has its pictures. */
export interface Images {
  /** The id a card's image block names; nobody can guess it. */
  keep(trx: Transaction<Schema>, png: Uint8Array): Promise<string>;
  /** undefined when there is none. */
  png(id: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Where a browser finds it; undefined where the service has no address others reach. */
  url(id: string): string | undefined;
}

/** `publicUrl`: the service's address as others reach it. */
export function createImages(db: Kysely<Schema>, publicUrl: string | undefined): Images {
  return {
    async keep(trx, png) {
      const id = randomUUID();
      await trx
        .insertInto('image')
        .values({ id, png: Buffer.from(png) })
        .execute();
      return id;
    },
    async png(id) {
      const row = await db.selectFrom('image').select('png').where('id', '=', id).executeTakeFirst();
      return row && new Uint8Array(row.png);
    },
    url: (id) => (publicUrl === undefined ? undefined : new URL(`/images/${id}.png`, publicUrl).href),
  };
}

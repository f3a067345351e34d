/** Imported before anything that makes a schema: zod would probe `new Function`, which the content security policy reports. */
import { z } from 'zod';

z.config({ jitless: true });

import { createDirectory } from './create-directory.ts';
import { createFile } from './create-file.ts';
import { deleteFile } from './delete-file.ts';
import { editFile } from './edit-file.ts';
import { gitCommit } from './git-commit.ts';
import { gitDiff } from './git-diff.ts';
import { gitStatus } from './git-status.ts';
import { listDirectory } from './list-directory.ts';
import { propose } from './propose.ts';
import { publish } from './publish.ts';
import { readFile } from './read-file.ts';
import { reproduce } from './reproduce.ts';
import { runCommand } from './run-command.ts';
import { scaffoldProject } from './scaffold-project.ts';
import { searchCodebase } from './search-codebase.ts';
import type { Tool } from './tool.ts';

export const tools = {
  read_file: readFile,
  list_directory: listDirectory,
  search_codebase: searchCodebase,
  create_file: createFile,
  edit_file: editFile,
  delete_file: deleteFile,
  create_directory: createDirectory,
  run_command: runCommand,
  scaffold_project: scaffoldProject,
  git_status: gitStatus,
  git_diff: gitDiff,
  git_commit: gitCommit,
  publish,
  reproduce,
  propose,
} satisfies Record<string, Tool>;

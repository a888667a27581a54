/* completion: the scripts for the shells. They know nothing of the commands: at every Tab they
 * hand the line to `sparkbus complete`, which answers with candidates, one a line, a description
 * behind a tab, or with ":files". */
#include <string.h>

#include "commands.h"

/* Bash ends words at '=' and ':', and at '@' except where a word begins with it. Words are
 * therefore cut anew at blanks, and of the candidates only what is behind the last '=' or ':' is
 * handed back. */
static const char bash_script[] =
		"# bash completion for sparkbus: source <(sparkbus completion bash)\n"
		"_sparkbus()\n"
		"{\n"
		"\tlocal line=${COMP_LINE:0:COMP_POINT} cur cut='' c part candidate\n"
		"\tlocal -a words\n"
		"\tcur=${line##*[[:blank:]]}\n"
		"\tread -ra words <<<\"$line\"\n"
		"\t[[ -z $cur ]] || unset 'words[-1]'\n"
		"\tfor c in = :; do\n"
		"\t\tif [[ $COMP_WORDBREAKS == *\"$c\"* && $cur == *\"$c\"* ]]; then\n"
		"\t\t\tpart=${cur%\"$c\"*}$c\n"
		"\t\t\t(( ${#part} > ${#cut} )) && cut=$part\n"
		"\t\tfi\n"
		"\tdone\n"
		"\tCOMPREPLY=()\n"
		"\twhile IFS= read -r candidate; do\n"
		"\t\tif [[ $candidate == :files ]]; then\n"
		"\t\t\tcompopt -o default 2>/dev/null\n"
		"\t\telse\n"
		"\t\t\tcandidate=${candidate%%$'\\t'*}\n"
		"\t\t\tCOMPREPLY+=(\"${candidate#\"$cut\"}\")\n"
		"\t\tfi\n"
		"\tdone < <(command sparkbus complete -- \"${words[@]:1}\" \"$cur\" 2>/dev/null)\n"
		"}\n"
		"complete -F _sparkbus sparkbus\n";

static const char zsh_script[] =
		"#compdef sparkbus\n"
		"# zsh completion for sparkbus: source <(sparkbus completion zsh), after compinit\n"
		"_sparkbus()\n"
		"{\n"
		"\tlocal line about\n"
		"\tlocal -a candidates shown\n"
		"\tfor line in \"${(@f)$(command sparkbus complete -- "
		"\"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
		"\t\tif [[ $line == :files ]]; then\n"
		"\t\t\t_files\n"
		"\t\telif [[ -n $line ]]; then\n"
		"\t\t\tcandidates+=(\"${line%%$'\\t'*}\")\n"
		"\t\t\tshown+=(\"${line/$'\\t'/  -- }\")\n"
		"\t\tfi\n"
		"\tdone\n"
		"\t(( $#candidates )) && compadd -l -d shown -a candidates\n"
		"}\n"
		"if [[ $funcstack[1] == _sparkbus ]]; then\n"
		"\t_sparkbus \"$@\"\n"
		"else\n"
		"\tcompdef _sparkbus sparkbus\n"
		"fi\n";

static const char fish_script[] =
		"# fish completion for sparkbus: sparkbus completion fish | source\n"
		"function __sparkbus_complete\n"
		"\tset -l words (commandline -opc) (commandline -ct)\n"
		"\tfor line in (command sparkbus complete -- $words[2..-1] 2>/dev/null)\n"
		"\t\tif test \"$line\" = :files\n"
		"\t\t\t__fish_complete_path (commandline -ct)\n"
		"\t\telse\n"
		"\t\t\techo $line\n"
		"\t\tend\n"
		"\tend\n"
		"end\n"
		"complete -c sparkbus -f -a '(__sparkbus_complete)'\n";

static const struct {
	const char *name, *script;
} shells[] = {
	{ "bash", bash_script },
	{ "zsh", zsh_script },
	{ "fish", fish_script },
};

const char *completion_shell(size_t i)
{
	return i < sb_countof(shells) ? shells[i].name : NULL;
}

int cmd_completion(struct cli *cli, const struct call *call)
{
	for (size_t i = 0; i < sb_countof(shells); i++)
		if (!strcmp(call->args[0], shells[i].name)) {
			fputs(shells[i].script, stdout);
			return EXIT_DONE;
		}
	return cli_usage(call, "'%s' is none of bash, zsh, fish", call->args[0]);
}

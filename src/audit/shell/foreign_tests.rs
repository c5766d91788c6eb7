use super::*;
use crate::audit::shell::text::Step;

/// Code that may cost as much as it wants.
fn read(language: Language, code: &str, arguments: &[Text]) -> Foreign {
    super::read(language, code, arguments, &Allowance::new(usize::MAX))
}

use Language::{Awk, Lua, Node, Perl, Php, Python, Ruby};

fn shown(texts: &[Text]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Every text that is expected is told, and exactly these commands are.
fn check(language: Language, cases: &[(&str, &[&str], &[&str])]) {
    let mut failures = Vec::new();
    for (code, texts, shells) in cases {
        let foreign = read(language, code, &[]);
        let (found, ran) = (shown(&foreign.texts), shown(&foreign.shells));
        let missing: Vec<_> =
            texts.iter().filter(|text| !found.iter().any(|f| f == *text)).collect();
        if !missing.is_empty() || ran != *shells {
            failures.push(format!(
                "{code}\n  texts {found:?}\n  shells {ran:?}\n  want {texts:?} {shells:?}"
            ));
        }
    }
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), cases.len(), failures.join("\n"));
}

const SHADOW: &[&str] = &["/etc/shadow"];
const CAT: &[&str] = &["cat /etc/shadow"];

#[test]
fn python_strings_are_put_together() {
    check(
        Python,
        &[
            ("print(open('/etc/shadow').read())", SHADOW, &[]),
            (r#"print(open("/etc/shadow").read())"#, SHADOW, &[]),
            ("open('''/etc/shadow''')", SHADOW, &[]),
            ("open(\"\"\"/etc/shadow\"\"\")", SHADOW, &[]),
            ("open(r'/etc/shadow')", SHADOW, &[]),
            ("open(b'/etc/shadow')", SHADOW, &[]),
            ("open(u'/etc/shadow')", SHADOW, &[]),
            (r"open('\x2fetc\x2fshadow')", SHADOW, &[]),
            (r"open('\57etc\057shadow')", SHADOW, &[]),
            (r"open('\u002fetc\U0000002fshadow')", SHADOW, &[]),
            (r"open('\N{SOLIDUS}etc/\N{LATIN SMALL LETTER S}hadow')", SHADOW, &[]),
            (r"open('/\N{SNOWMAN}/x')", &["/…/x"], &[]),
            (r"open(r'/etc\x2f')", &[r"/etc\x2f"], &[]),
            (r"open('/et\c')", &[r"/et\c"], &[]),
            ("open('/etc/' 'shadow')", SHADOW, &[]),
            ("open('/etc'+'/'+'shadow')", SHADOW, &[]),
            ("open('/etc/sha'\\\n'dow')", SHADOW, &[]),
            ("open('%s/%s' % ('/etc','shadow'))", SHADOW, &[]),
            ("open('/etc/%s'%'shadow')", SHADOW, &[]),
            ("open('%(d)s/shadow' % {'d': '/etc'})", SHADOW, &[]),
            ("open('/%c%c%c/shadow' % (101,116,99))", SHADOW, &[]),
            ("open('{}/{}'.format('/etc','shadow'))", SHADOW, &[]),
            ("open('{1}/{0}'.format('shadow','/etc'))", SHADOW, &[]),
            ("open('{d}/{f}'.format(d='/etc',f='shadow'))", SHADOW, &[]),
            ("open('{:c}etc/shadow'.format(47))", SHADOW, &[]),
            ("open(''.join(['/etc','/sha','dow']))", SHADOW, &[]),
            ("open('/'.join(['','etc','shadow']))", SHADOW, &[]),
            ("open('/'.join(('','etc','shadow')))", SHADOW, &[]),
            ("open('wodahs/cte/'[::-1])", SHADOW, &[]),
            ("open('xx/etc/shadowyy'[2:-2])", SHADOW, &[]),
            ("open('/.e.t.c./.s.h.a.d.o.w'[0::2])", SHADOW, &[]),
            ("open('/etc/XXX'.replace('XXX','shadow'))", SHADOW, &[]),
            ("open('/ETC/SHADOW'.lower())", SHADOW, &[]),
            ("open('  /etc/shadow '.strip())", SHADOW, &[]),
            ("open('/etc/shadow'.encode().decode())", SHADOW, &[]),
            ("open(bytes.fromhex('2f6574632f736861646f77'))", SHADOW, &[]),
            ("open(bytes.fromhex('2f6574632f736861646f77').decode())", SHADOW, &[]),
            ("open(bytes([47,101,116,99,47,115,104,97,100,111,119]))", SHADOW, &[]),
            ("open(bytearray([47,101,116,99])+b'/shadow')", SHADOW, &[]),
            ("open(chr(47)+'etc'+chr(0x2f)+'shadow')", SHADOW, &[]),
            ("open(''.join(map(chr,[47,101,116,99,47,115,104,97,100,111,119])))", SHADOW, &[]),
            ("open(''.join(chr(x) for x in [47,101,116,99]) + '/shadow')", SHADOW, &[]),
            (
                "open(''.join([chr(x+1) for x in [46,100,115,98,46,114,103,96,99,110,118]]))",
                SHADOW,
                &[],
            ),
            (
                "open(''.join(chr(x-1) for x in (48,102,117,100,48,116,105,98,101,112,120)))",
                SHADOW,
                &[],
            ),
            (
                "open(''.join(chr(x^7) for x in [40,98,115,100,40,116,111,102,99,104,112]))",
                SHADOW,
                &[],
            ),
            ("open(''.join(chr(ord(c)^1) for c in '.dub.ri`env'))", SHADOW, &[]),
            ("open(''.join(map(lambda c: chr(ord(c)-1), '0fud0tibepx')))", SHADOW, &[]),
            ("import base64;open(base64.b64decode('L2V0Yy9zaGFkb3c='))", SHADOW, &[]),
            ("open(__import__('base64').b64decode('L2V0Yy9zaGFkb3c=').decode())", SHADOW, &[]),
            ("from base64 import b64decode as d;open(d('L2V0Yy9zaGFkb3c='))", SHADOW, &[]),
            ("import codecs;open(codecs.decode('/rgp/funqbj','rot13'))", SHADOW, &[]),
            ("import codecs;open(codecs.decode('2f6574632f736861646f77','hex'))", SHADOW, &[]),
            ("open(codecs.decode('L2V0Yy9zaGFkb3c=','base64'))", SHADOW, &[]),
            ("import binascii;open(binascii.unhexlify('2f6574632f736861646f77'))", SHADOW, &[]),
            ("open(base64.b32decode('F5SXIYZPONUGCZDPO4======'))", SHADOW, &[]),
            (
                "open(zlib.decompress(base64.b64decode('eJzTTy1J1i/OSEzJLwcAFzYEIQ==')))",
                SHADOW,
                &[],
            ),
            ("open(os.path.join('/etc','shadow'))", SHADOW, &[]),
            ("from os.path import join;open(join('/etc','shadow'))", SHADOW, &[]),
            ("from pathlib import Path;print((Path('/etc')/'shadow').read_text())", SHADOW, &[]),
            ("import pathlib;pathlib.Path('/', 'etc').joinpath('shadow').read_text()", SHADOW, &[]),
            ("open(os.sep+'etc'+os.sep+'shadow')", SHADOW, &[]),
            ("a='/etc';b='/shadow';open(a+b)", SHADOW, &[]),
            ("a,b='/etc','/shadow';open(a+b)", SHADOW, &[]),
            ("a='/etc/';a+='shadow';open(a)", SHADOW, &[]),
            ("x='shadow'\nprint(open(f'/etc/{x}').read())", SHADOW, &[]),
            ("open(f'/etc/{\"sha\"+\"dow\"}')", SHADOW, &[]),
            ("open(f'{chr(47)}etc{chr(47)}shadow')", SHADOW, &[]),
            ("open(f'{47:c}etc/shadow')", SHADOW, &[]),
            ("open(f'/etc/{name}.conf')", &["/etc/….conf"], &[]),
            ("open('/etc/'+x)", &["/etc/…"], &[]),
            ("open('/a'*2)", &["/a/a"], &[]),
            ("exec(\"open('/etc/sha'+'dow')\")", SHADOW, &[]),
            ("eval(compile('open(\"/etc/shadow\")','','exec'))", SHADOW, &[]),
            ("exec(__import__('base64').b64decode('b3BlbignL2V0Yy9zaGFkb3cnKQ=='))", SHADOW, &[]),
            ("open(eval(\"'/etc/'+'shadow'\"))", SHADOW, &[]),
            (
                "for p in ['shadow','gshadow']: print(open('/etc/'+p).read())",
                &["/etc/shadow", "/etc/gshadow"],
                &[],
            ),
            (
                "for p in ('shadow','passwd'):\n  f='/etc/'+p\n  print(open(f).read())\nx='z'",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            (
                "[print(open('/etc/'+p).read()) for p in ['shadow','passwd']]",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            ("with open('/etc/'+'shadow') as f: print(f.read())", SHADOW, &[]),
            ("d={'a':'/etc/','b':'shadow'};open(d['a']+d['b'])", SHADOW, &[]),
            ("l=['/etc','shadow'];open('/'.join(l))", SHADOW, &[]),
            ("def f(x): return open('/etc/'+x)\nf('shadow')", SHADOW, &[]),
            ("f=lambda s:s[::-1];open(f('wodahs/cte/'))", SHADOW, &[]),
            ("(lambda p: print(open(p).read()))('/etc/shadow')", SHADOW, &[]),
            ("open('/etc/passwd' if x else '/etc/shadow')", &["/etc/passwd", "/etc/shadow"], &[]),
            ("open('/etc/xhadow'.translate(str.maketrans('x','s')))", SHADOW, &[]),
            ("open((0x2f657463).to_bytes(4,'big').decode()+'/shadow')", SHADOW, &[]),
            ("import os;os.chdir('/etc');print(open('shadow').read())", SHADOW, &[]),
            ("j=''.join;open(j(['/etc','/shadow']))", SHADOW, &[]),
            ("open(str('/etc/shadow'))", SHADOW, &[]),
            ("open(''.join(reversed('wodahs/cte/')))", SHADOW, &[]),
            ("open(sys.argv[9])", &[], &[]),
            ("print 'a', open('/etc/' + 'shadow').read()", SHADOW, &[]),
            ("# open('/etc/shadow')\nx", &[], &[]),
            ("if (p := '/etc/' + 'shadow'): open(p)", SHADOW, &[]),
            ("import glob;glob.glob('/etc/sh*')", &["/etc/sh*"], &[]),
            ("open(functools.reduce(lambda a,b:a+b,['/etc','/sha','dow']))", SHADOW, &[]),
            ("open(b'/etc/\\x73hadow'.decode('utf-8'))", SHADOW, &[]),
            ("open('/etc/\\\\x73hadow'.encode().decode('unicode_escape'))", SHADOW, &[]),
            ("open('/e''tc/s' f'had' \"ow\")", SHADOW, &[]),
            ("open(string.ascii_lowercase[18].join(['/etc/','hadow']))", SHADOW, &[]),
            ("open(urllib.parse.unquote('%2Fetc%2Fshadow'))", SHADOW, &[]),
            ("open(file='/etc/'+'shadow')", SHADOW, &[]),
            ("a=['/etc'];a.append('shadow');open('/'.join(a))", SHADOW, &[]),
            ("i=0\ns=''\nwhile i<4:\n  s+='/etc'[i]\n  i+=1\nopen(s+'/shadow')", SHADOW, &[]),
            ("try:\n  open('/e'+'tc/shadow')\nexcept: pass", SHADOW, &[]),
            ("open(''.join(chr(int(x,16)) for x in '2f 65 74 63'.split())+'/shadow')", SHADOW, &[]),
            (
                "class A:\n  p='/etc/'\n  def r(s): return open(s.p+'shadow')\nA().r()",
                &["/etc/", "…shadow"],
                &[],
            ),
        ],
    );
}

#[test]
fn python_commands_are_told_as_a_shell_reads_them() {
    check(
        Python,
        &[
            ("import os;os.system('cat /etc/shadow')", &[], CAT),
            ("__import__('os').system('cat /etc/'+'shadow')", &[], CAT),
            ("os.popen('cat /etc/shadow').read()", &[], CAT),
            ("import subprocess;subprocess.run(['cat','/etc/shadow'])", &[], CAT),
            ("import subprocess as s;s.call('cat /etc/shadow',shell=True)", &[], CAT),
            (
                "subprocess.check_output(['sh','-c','cat /etc/shadow'])",
                &[],
                &["sh -c 'cat /etc/shadow'"],
            ),
            ("subprocess.Popen(args=['cat','/etc/shadow'])", &[], CAT),
            ("subprocess.run('cat /etc/shadow'.split())", &[], CAT),
            ("subprocess.run(['cat','shadow'],cwd='/etc')", &[], &["cd /etc && cat shadow"]),
            ("os.execvp('cat',['cat','/etc/shadow'])", &[], CAT),
            ("os.execl('/bin/cat','cat','/etc/shadow')", &[], &["/bin/cat /etc/shadow"]),
            ("os.spawnlp(os.P_WAIT,'cat','cat','/etc/shadow')", &[], CAT),
            ("import pty;pty.spawn('/bin/sh')", &[], &["/bin/sh"]),
            ("pty.spawn(['cat','/etc/shadow'])", &[], CAT),
            ("from os import system as s;s('cat /etc/shadow')", &[], CAT),
            ("s=os.system;s('cat /etc/shadow')", &[], CAT),
            ("getattr(os,'sys'+'tem')('cat /etc/shadow')", &[], CAT),
            ("vars(os)['system']('cat /etc/shadow')", &[], CAT),
            ("os.__dict__['system']('cat /etc/shadow')", &[], CAT),
            ("subprocess.getoutput('cat /etc/shadow')", &[], CAT),
            ("exec('import os;os.system(\"cat /etc/shadow\")')", &[], CAT),
            ("os.system('cat '+x)", &[], &["cat …"]),
            ("os.system('echo \"it\\'s\"')", &[], &["echo \"it's\""]),
            ("subprocess.run(['echo',\"it's\",''])", &[], &["echo 'it'\\''s' ''"]),
            ("os.chdir('/etc');os.system('cat shadow')", &["/etc"], &["cd /etc && cat shadow"]),
            ("[os.system(c) for c in ['id','cat /etc/shadow']]", &[], &["id", "cat /etc/shadow"]),
            ("c=['cat'];c+=['/etc/shadow'];subprocess.run(c)", &[], CAT),
        ],
    );
}

#[test]
fn perl_strings_and_commands() {
    check(
        Perl,
        &[
            ("open(F,'/etc/shadow');print <F>", SHADOW, &[]),
            (r#"open F,"<","/etc/shadow";print while <F>"#, SHADOW, &[]),
            (r#"open(F,"</etc/shadow");print <F>;"#, SHADOW, &[]),
            ("open(my $f,'<','/etc/'.'shadow') or die;", SHADOW, &[]),
            ("open(F,q(/etc/shadow))", SHADOW, &[]),
            ("open(F,q{/etc/shadow})", SHADOW, &[]),
            ("open(F,q!/etc/shadow!)", SHADOW, &[]),
            ("open(F,qq|/etc/shadow|)", SHADOW, &[]),
            ("open(F,q#/etc/shadow#)", SHADOW, &[]),
            ("open F,q=/etc/shadow=", SHADOW, &[]),
            ("open F, q x/etc/shadowx", SHADOW, &[]),
            ("open(F,join'/',qw(/etc shadow))", SHADOW, &[]),
            ("open(F,join('/',qw[/etc shadow]))", SHADOW, &[]),
            ("$d='/etc';open(F,\"$d/shadow\")", SHADOW, &[]),
            ("my $d='etc';open(F,\"/${d}/shadow\")", SHADOW, &[]),
            ("my ($a,$b)=('/etc','shadow');open F,\"$a/$b\"", SHADOW, &[]),
            ("@a=('/etc','shadow');open F,\"$a[0]/$a[1]\"", SHADOW, &[]),
            ("%h=(d=>'/etc',f=>'shadow');open F,\"$h{d}/$h{f}\"", SHADOW, &[]),
            ("open(F,\"@{[join '/','/etc','shadow']}\")", SHADOW, &[]),
            ("open(F,'/etc/sh'.'a'x1 .'dow')", SHADOW, &[]),
            ("print '-'x3", &["---"], &[]),
            ("open(F,chr(47).'etc'.chr(47).'shadow')", SHADOW, &[]),
            ("open(F,pack('H*','2f6574632f736861646f77'))", SHADOW, &[]),
            ("open(F,pack('C*',47,101,116,99,47,115,104,97,100,111,119))", SHADOW, &[]),
            ("open F, join '', map { chr } 47,101,116,99,47,115,104,97,100,111,119", SHADOW, &[]),
            (
                "open F, join('', map { chr($_-1) } 48,102,117,100,48,116,105,98,101,112,120)",
                SHADOW,
                &[],
            ),
            ("open F, join '', map {chr hex} qw(2f 65 74 63 2f 73 68 61 64 6f 77)", SHADOW, &[]),
            ("open(F,scalar reverse 'wodahs/cte/')", SHADOW, &[]),
            ("open(F,scalar reverse('wodahs','/cte/'))", SHADOW, &[]),
            ("open(F,join'',reverse split//,'wodahs/cte/')", SHADOW, &[]),
            ("open(F,sprintf('%s/%s','/etc','shadow'))", SHADOW, &[]),
            ("open(F,sprintf('%c%c%c%c/shadow',47,101,116,99))", SHADOW, &[]),
            ("open(F,lc('/ETC/SHADOW'))", SHADOW, &[]),
            (r#"open(F,"\L/ETC/\ESHADOW")"#, &["/etc/SHADOW"], &[]),
            (r#"open(F,"\x2fetc\x{2f}shadow")"#, SHADOW, &[]),
            (r#"open(F,"\057etc\057shadow")"#, SHADOW, &[]),
            (r#"open(F,"\N{U+2f}etc/shadow")"#, SHADOW, &[]),
            ("open(F,v47.101.116.99.47.115.104.97.100.111.119)", SHADOW, &[]),
            ("open(F,'/etc/'.substr('xxshadow',2))", SHADOW, &[]),
            ("$_='/rgp/funqbj';tr/a-z/n-za-m/;open F,$_", SHADOW, &[]),
            ("($a='/rgp/funqbj')=~y/a-z/n-za-m/;open F,$a", SHADOW, &[]),
            ("$a='/etc/XX';$a=~s/XX/shadow/;open F,$a", SHADOW, &[]),
            ("open F,'/etc/XX'=~s/XX/shadow/r", SHADOW, &[]),
            ("use MIME::Base64;open(F,decode_base64('L2V0Yy9zaGFkb3c='))", SHADOW, &[]),
            ("open F,MIME::Base64::decode_base64('L2V0Yy9zaGFkb3c=')", SHADOW, &[]),
            ("print `cat /etc/shadow`", &[], CAT),
            ("system('cat /etc/shadow')", &[], CAT),
            ("system 'cat','/etc/shadow'", &[], CAT),
            ("system(\"cat\",\"/etc/shadow\")", &[], CAT),
            ("exec 'cat /etc/shadow'", &[], CAT),
            ("exec {'cat'} 'cat','/etc/shadow'", &[], CAT),
            ("print qx{cat /etc/shadow}", &[], CAT),
            ("print qx'cat /etc/shadow'", &[], CAT),
            ("$f='shadow';print `cat /etc/$f`", &[], CAT),
            ("open(F,'cat /etc/shadow|')", &[], CAT),
            ("open(F,'-|','cat','/etc/shadow')", &[], CAT),
            ("open(F,'|sh')", &[], &["sh"]),
            ("@c=('cat','/etc/shadow');system(@c)", &[], CAT),
            ("eval 'system(\"cat /etc/shadow\")'", &[], CAT),
            ("eval pack('H*','73797374656d2822636174202f6574632f736861646f772229')", &[], CAT),
            ("eval{open F,'/etc/'.'shadow'}", SHADOW, &[]),
            (
                "for my $f ('shadow','passwd'){open F,\"/etc/$f\"}",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            (
                "open(F,\"/etc/$_\")&&print <F> for qw(shadow passwd)",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            ("foreach (qw(shadow)) { open F, '/etc/'.$_; print <F> }", SHADOW, &[]),
            ("print <>; chdir '/etc'; open F,'shadow'", SHADOW, &[]),
            ("@f=</etc/sh*>", &["/etc/sh*"], &[]),
            ("@f=glob('/etc/sh*')", &["/etc/sh*"], &[]),
            ("sub f{my $x=shift;open F,'/etc/'.$x} f('shadow')", SHADOW, &[]),
            ("open F,('s'^'S'^'/').'etc/shadow'", &[], &[]),
            ("open F,'/etc/'.('SHADOW'^'      ')", SHADOW, &[]),
            ("@ARGV=('/etc/shadow');print <>", SHADOW, &[]),
            ("print $x{a} if m/'/; open F,'/etc/shadow'", SHADOW, &[]),
            ("open F,<<X\n/etc/shadow\nX\n", &["/etc/shadow\n"], &[]),
            ("$#a; open F, '/etc/shadow' # 'x'", SHADOW, &[]),
            ("push @a,'/etc','shadow';open F,join'/',@a", SHADOW, &[]),
            ("$s.=chr for 47,101,116,99; open F,\"$s/shadow\"", SHADOW, &[]),
            ("for(my $i=0;$i<4;$i++){$s.=substr('/etc',$i,1)} open F,$s.'/shadow'", SHADOW, &[]),
            ("($x='2f6574632f736861646f77')=~s/(..)/chr hex $1/ge;open F,$x", SHADOW, &[]),
            ("require 'syscall.ph'; sysopen(F,'/etc/'.'shadow',0)", SHADOW, &[]),
            ("use POSIX; POSIX::open('/etc/shadow')", SHADOW, &[]),
            ("print`$_`for'cat /etc/shadow'", &[], CAT),
            ("use File::Spec;open F,File::Spec->catfile('/etc','shadow')", SHADOW, &[]),
            ("print if /root/; open F,'/etc'.'/shadow' unless $x", SHADOW, &[]),
        ],
    );
}

#[test]
fn ruby_strings_and_commands() {
    check(
        Ruby,
        &[
            ("puts File.read('/etc/shadow')", SHADOW, &[]),
            ("puts File.read '/etc/'+'shadow'", SHADOW, &[]),
            ("puts IO.read(\"/etc/\" \"shadow\")", SHADOW, &[]),
            ("x='shadow';puts File.read(\"/etc/#{x}\")", SHADOW, &[]),
            ("puts File.read(\"/etc/#{'wodahs'.reverse}\")", SHADOW, &[]),
            ("a='/etc/';a<<'shadow';puts File.read(a)", SHADOW, &[]),
            ("puts File.read('/etc/'.concat('shadow'))", SHADOW, &[]),
            ("puts File.read(%q(/etc/shadow))", SHADOW, &[]),
            ("puts File.read(%Q[/etc/shadow])", SHADOW, &[]),
            ("puts File.read(%w[/etc shadow].join('/'))", SHADOW, &[]),
            ("puts File.read(%w(/etc shadow)*'/')", SHADOW, &[]),
            ("puts File.read File.join('/etc','shadow')", SHADOW, &[]),
            ("puts File.read('wodahs/cte/'.reverse)", SHADOW, &[]),
            ("puts File.read('/rgp/funqbj'.tr('a-z','n-za-m'))", SHADOW, &[]),
            ("puts File.read('/rgp/funqbj'.tr 'a-z','n-za-m')", SHADOW, &[]),
            ("puts File.read('/etc/XX'.sub('XX','shadow'))", SHADOW, &[]),
            ("puts File.read('/e.t.c/s.h.a.d.o.w'.gsub('.',''))", SHADOW, &[]),
            ("puts File.read('/etc/x'.gsub(/x/,'shadow'))", SHADOW, &[]),
            ("puts File.read([47,101,116,99,47,115,104,97,100,111,119].pack('C*'))", SHADOW, &[]),
            ("puts File.read(['2f6574632f736861646f77'].pack('H*'))", SHADOW, &[]),
            ("puts File.read('L2V0Yy9zaGFkb3c='.unpack1('m'))", SHADOW, &[]),
            ("puts File.read('L2V0Yy9zaGFkb3c='.unpack('m')[0])", SHADOW, &[]),
            ("require 'base64';puts File.read(Base64.decode64('L2V0Yy9zaGFkb3c='))", SHADOW, &[]),
            ("puts File.read([47,101,116,99].map(&:chr).join+'/shadow')", SHADOW, &[]),
            ("puts File.read([46,100,115,98].map{|x|(x+1).chr}.join+'/shadow')", SHADOW, &[]),
            ("puts File.read([46,100].map do |x| (x+1).chr end.join+'tc/shadow')", SHADOW, &[]),
            ("puts File.read(47.chr+'etc/shadow')", SHADOW, &[]),
            ("puts File.read('/ETC/SHADOW'.downcase)", SHADOW, &[]),
            ("puts File.read(\"\\x2fetc\\u002fshadow\")", SHADOW, &[]),
            ("puts File.read(\"\\u{2f 65 74 63}/shadow\")", SHADOW, &[]),
            ("puts File.read('/etc/%s' % 'shadow')", SHADOW, &[]),
            ("puts File.read('/%s/%s' % ['etc','shadow'])", SHADOW, &[]),
            ("puts File.read(format('/etc/%s','shadow'))", SHADOW, &[]),
            ("puts `cat /etc/shadow`", &[], CAT),
            ("puts %x(cat /etc/shadow)", &[], CAT),
            ("system('cat /etc/shadow')", &[], CAT),
            ("system 'cat', '/etc/shadow'", &[], CAT),
            ("exec 'cat /etc/shadow'", &[], CAT),
            ("puts IO.popen('cat /etc/shadow').read", &[], CAT),
            ("puts IO.popen(['cat','/etc/shadow']).read", &[], CAT),
            ("Kernel.send(:system,'cat /etc/shadow')", &[], CAT),
            ("send('sys'+'tem','cat /etc/shadow')", &[], CAT),
            ("open('|cat /etc/shadow')", &[], CAT),
            ("eval \"system('cat /etc/shadow')\"", &[], CAT),
            ("eval(['73797374656d2827636174202f6574632f736861646f772729'].pack('H*'))", &[], CAT),
            (
                "%w[shadow passwd].each{|f| puts File.read('/etc/'+f)}",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            ("%w[shadow].each do |f| puts File.read(\"/etc/#{f}\") end", SHADOW, &[]),
            ("for f in ['shadow'] do puts File.read('/etc/'+f) end", SHADOW, &[]),
            ("Dir.chdir('/etc');puts File.read('shadow')", SHADOW, &[]),
            ("Dir['/etc/sh*'].each{|f| puts f}", &["/etc/sh*"], &[]),
            ("Dir.glob('/etc/sh*')", &["/etc/sh*"], &[]),
            ("f='shadow'; puts `cat /etc/#{f}`", &[], CAT),
            ("puts File.read('/etc/shadowx'[0..-2])", SHADOW, &[]),
            ("puts File.read('xx/etc/shadow'[2..])", SHADOW, &[]),
            ("puts File.read('/etc/shadowxx'[0,11])", SHADOW, &[]),
            ("puts File.read(['/etc','/shadow'].inject(:+))", SHADOW, &[]),
            ("require 'open3';o,s=Open3.capture2('cat','/etc/shadow')", &[], CAT),
            ("def f(x) File.read('/etc/'+x) end; f('shadow')", SHADOW, &[]),
            (
                "puts File.read('2f6574632f736861646f77'.scan(/../).map{|h|h.hex.chr}.join)",
                SHADOW,
                &[],
            ),
            ("a=[];a.push('/etc');a.push('shadow');puts File.read(a.join('/'))", SHADOW, &[]),
            ("f=->(x){'/etc/'+x};File.read(f.call('shadow'))", SHADOW, &[]),
        ],
    );
}

#[test]
fn javascript_strings_and_commands() {
    check(
        Node,
        &[
            ("console.log(require('fs').readFileSync('/etc/shadow','utf8'))", SHADOW, &[]),
            ("fs.readFileSync(\"/etc/\"+\"shadow\")", SHADOW, &[]),
            ("let x='shadow';fs.readFileSync(`/etc/${x}`)", SHADOW, &[]),
            ("fs.readFileSync(`/etc/${'wodahs'.split('').reverse().join('')}`)", SHADOW, &[]),
            ("fs.readFileSync('/etc'.concat('/','shadow'))", SHADOW, &[]),
            ("fs.readFileSync(['/etc','shadow'].join('/'))", SHADOW, &[]),
            ("fs.readFileSync('/etc/XX'.replace('XX','shadow'))", SHADOW, &[]),
            ("fs.readFileSync('/e-t-c/s-h-a-d-o-w'.replace(/-/g,''))", SHADOW, &[]),
            ("fs.readFileSync('/e-t-c/s-h-a-d-o-w'.replaceAll('-',''))", SHADOW, &[]),
            ("fs.readFileSync('/e-t-c/s-h-a-d-o-w'.split('-').join(''))", SHADOW, &[]),
            ("fs.readFileSync(String.fromCharCode(47,101,116,99)+'/shadow')", SHADOW, &[]),
            ("fs.readFileSync(String.fromCharCode(...[47,101,116,99])+'/shadow')", SHADOW, &[]),
            (
                "fs.readFileSync(String.fromCharCode.apply(null,[47,101,116,99])+'/shadow')",
                SHADOW,
                &[],
            ),
            (
                "fs.readFileSync([47,101,116,99].map(c=>String.fromCharCode(c)).join('')+'/shadow')",
                SHADOW,
                &[],
            ),
            (
                "fs.readFileSync([46,100,115,98].map((c)=>{return String.fromCharCode(c+1)}).join('')+'/shadow')",
                SHADOW,
                &[],
            ),
            (
                "fs.readFileSync([46,100].map(function(c){return String.fromCharCode(c+1)}).join('')+'tc/shadow')",
                SHADOW,
                &[],
            ),
            ("fs.readFileSync(Buffer.from('L2V0Yy9zaGFkb3c=','base64').toString())", SHADOW, &[]),
            ("fs.readFileSync(Buffer.from('2f6574632f736861646f77','hex')+'')", SHADOW, &[]),
            ("fs.readFileSync(Buffer.from([47,101,116,99]).toString()+'/shadow')", SHADOW, &[]),
            ("fs.readFileSync(atob('L2V0Yy9zaGFkb3c='))", SHADOW, &[]),
            ("fs.readFileSync(decodeURIComponent('%2Fetc%2Fshadow'))", SHADOW, &[]),
            ("fs.readFileSync(unescape('%u002fetc%2fshadow'))", SHADOW, &[]),
            (r"fs.readFileSync('\x2fetc\u002f\u{73}hadow')", SHADOW, &[]),
            ("fs.readFileSync(require('path').join('/etc','shadow'))", SHADOW, &[]),
            ("const p=require('path');fs.readFileSync(p.resolve('/etc','shadow'))", SHADOW, &[]),
            ("const a=['/etc/','shadow'];fs.readFileSync(a[0]+a[1])", SHADOW, &[]),
            ("const [a,b]=['/etc/','shadow'];fs.readFileSync(a+b)", SHADOW, &[]),
            ("const o={d:'/etc/',f:'shadow'};fs.readFileSync(o.d+o['f'])", SHADOW, &[]),
            (
                "for(const f of ['shadow','passwd'])console.log(fs.readFileSync('/etc/'+f))",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            ("['shadow'].forEach(f=>console.log(fs.readFileSync('/etc/'+f)))", SHADOW, &[]),
            (
                "let s='';for(let i=0;i<4;i++){s+='/etc'[i]}fs.readFileSync(s+'/shadow')",
                SHADOW,
                &[],
            ),
            (
                "let s='',a=[47,101,116,99];for(let i=0;i<a.length;i++)s+=String.fromCharCode(a[i]);fs.readFileSync(s+'/shadow')",
                SHADOW,
                &[],
            ),
            ("fs.readFile('/etc/shadow',(e,d)=>{console.log(d)})", SHADOW, &[]),
            ("x.on('y',()=>{fs.readFileSync('/etc/'+'shadow')})", SHADOW, &[]),
            ("function f(n){return '/etc/'+n} fs.readFileSync(f('shadow'))", SHADOW, &[]),
            ("const f=n=>'/etc/'+n;fs.readFileSync(f('shadow'))", SHADOW, &[]),
            ("(()=>{fs.readFileSync('/etc/'+'shadow')})()", SHADOW, &[]),
            ("fs.readFileSync('wodahs/cte/'.split``.reverse().join``)", &[], &[]),
            ("fs.readFileSync('/etc/'+(1?'shadow':'x'))", SHADOW, &[]),
            ("fs.readFileSync('xx/etc/shadow'.slice(2))", SHADOW, &[]),
            ("fs.readFileSync('xx/etc/shadowxx'.substring(2,13))", SHADOW, &[]),
            ("fs.readFileSync('xx/etc/shadowxx'.substr(2,11))", SHADOW, &[]),
            ("fs.readFileSync('/etc/'+(28).toString(36)+'hadow')", SHADOW, &[]),
            ("require('child_process').exec('cat /etc/shadow')", &[], CAT),
            ("require('child_process').execSync('cat /etc/'+'shadow').toString()", &[], CAT),
            ("const {execSync}=require('child_process');execSync('cat /etc/shadow')", &[], CAT),
            ("require('child_'+'process')['exec'+'Sync']('cat /etc/shadow')", &[], CAT),
            (
                "require('child_process').spawn('cat',['/etc/shadow'],{stdio:'inherit'})",
                &["inherit"],
                CAT,
            ),
            (
                "require('child_process').spawnSync('sh',['-c','cat /etc/shadow'])",
                &[],
                &["sh -c 'cat /etc/shadow'"],
            ),
            ("cp.execFileSync('cat',['shadow'],{cwd:'/etc'})", &[], &["cd /etc && cat shadow"]),
            ("eval('require(\"child_process\").execSync(\"cat /etc/shadow\")')", &[], CAT),
            (
                "new Function('return require(\"child_process\").execSync(\"cat /etc/shadow\")')()",
                &[],
                CAT,
            ),
            (
                "eval(atob('cmVxdWlyZSgnY2hpbGRfcHJvY2VzcycpLmV4ZWNTeW5jKCdjYXQgL2V0Yy9zaGFkb3cnKQ=='))",
                &[],
                CAT,
            ),
            ("/x/.exec('/etc/shadow')", SHADOW, &[]),
            ("await Bun.$`cat /etc/shadow`", &[], CAT),
            ("new Deno.Command('cat',{args:['/etc/shadow']}).output()", &[], CAT),
            ("Bun.spawn(['cat','/etc/shadow'])", &[], CAT),
            ("process.mainModule.require('child_process').execSync('cat /etc/shadow')", &[], CAT),
            ("let r=/['\"]/;fs.readFileSync('/etc/shadow')", SHADOW, &[]),
            ("a=4/2;b='/etc'+'/shadow';c=b/2", SHADOW, &[]),
            ("fs.readFileSync([...'wodahs/cte/'].reverse().join(''))", SHADOW, &[]),
            (
                "fs.readFileSync('2f6574632f736861646f77'.match(/../g).map(h=>String.fromCharCode(parseInt(h,16))).join(''))",
                SHADOW,
                &[],
            ),
            (
                "const a=[];a.push('/etc');a.push('shadow');fs.readFileSync(a.join('/'))",
                SHADOW,
                &[],
            ),
            ("process.chdir('/etc');fs.readFileSync('shadow')", SHADOW, &[]),
            ("import('fs').then(fs=>fs.readFileSync('/etc/'+'shadow'))", SHADOW, &[]),
        ],
    );
}

#[test]
fn php_strings_and_commands() {
    check(
        Php,
        &[
            ("echo file_get_contents('/etc/shadow');", SHADOW, &[]),
            ("readfile('/etc/'.'shadow');", SHADOW, &[]),
            ("$f='shadow';readfile(\"/etc/$f\");", SHADOW, &[]),
            ("$f='shadow';readfile(\"/etc/{$f}\");", SHADOW, &[]),
            ("$f=['shadow'];readfile(\"/etc/$f[0]\");", SHADOW, &[]),
            ("$f=['k'=>'shadow'];readfile(\"/etc/{$f['k']}\");", SHADOW, &[]),
            ("readfile(chr(47).'etc/shadow');", SHADOW, &[]),
            ("readfile(base64_decode('L2V0Yy9zaGFkb3c='));", SHADOW, &[]),
            ("readfile(strrev('wodahs/cte/'));", SHADOW, &[]),
            ("readfile(str_rot13('/rgp/funqbj'));", SHADOW, &[]),
            ("readfile(hex2bin('2f6574632f736861646f77'));", SHADOW, &[]),
            ("readfile(pack('H*','2f6574632f736861646f77'));", SHADOW, &[]),
            ("readfile(implode('/',['/etc','shadow']));", SHADOW, &[]),
            ("readfile(implode(array_map('chr',[47,101,116,99])).'/shadow');", SHADOW, &[]),
            ("readfile(str_replace('X','s','/etc/Xhadow'));", SHADOW, &[]),
            ("readfile(urldecode('%2Fetc%2Fshadow'));", SHADOW, &[]),
            ("readfile(\"\\x2fetc\\57shadow\");", SHADOW, &[]),
            ("readfile(\"\\u{2f}etc/shadow\");", SHADOW, &[]),
            ("readfile(strtolower('/ETC/SHADOW'));", SHADOW, &[]),
            ("readfile(sprintf('/%s/%s','etc','shadow'));", SHADOW, &[]),
            ("readfile(gzinflate(base64_decode('008tSdYvzkhMyS8HAA==')));", SHADOW, &[]),
            ("readfile(DIRECTORY_SEPARATOR.'etc/shadow');", SHADOW, &[]),
            ("define('D','/etc');readfile(D.'/shadow');", SHADOW, &[]),
            (
                "foreach(['shadow','passwd'] as $f)readfile('/etc/'.$f);",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            ("readfile(strtr('/etc/xhadow','x','s'));", SHADOW, &[]),
            ("readfile(substr('xx/etc/shadow',2));", SHADOW, &[]),
            ("$a='/etc';$a.='/shadow';readfile($a);", SHADOW, &[]),
            ("function f($x){return '/etc/'.$x;} readfile(f('shadow'));", SHADOW, &[]),
            ("<?php readfile('/etc/'.'shadow'); ?>", SHADOW, &[]),
            ("system('cat /etc/shadow');", &[], CAT),
            ("echo shell_exec('cat /etc/'.'shadow');", &[], CAT),
            ("passthru(\"cat /etc/shadow\");", &[], CAT),
            ("exec('cat /etc/shadow',$o);", &[], CAT),
            ("echo `cat /etc/shadow`;", &[], CAT),
            ("popen('cat /etc/shadow','r');", &[], CAT),
            ("$f='sys'.'tem';$f('cat /etc/shadow');", &[], CAT),
            ("('sys'.'tem')('cat /etc/shadow');", &[], CAT),
            ("call_user_func('system','cat /etc/shadow');", &[], CAT),
            ("eval('system(\"cat /etc/shadow\");');", &[], CAT),
            ("eval(base64_decode('c3lzdGVtKCdjYXQgL2V0Yy9zaGFkb3cnKTs='));", &[], CAT),
            ("pcntl_exec('/bin/cat',['/etc/shadow']);", &[], &["/bin/cat /etc/shadow"]),
            ("$a[]='/etc';$a[]='shadow';readfile(join('/',$a));", SHADOW, &[]),
            ("for($i=0;$i<4;$i++)$s.='/etc'[$i];readfile($s.'/shadow');", SHADOW, &[]),
            ("array_map('system',['cat /etc/shadow']);", &[], CAT),
            ("\"\\x73ystem\"('cat /etc/shadow');", &[], CAT),
            ("@system('cat /etc/shadow');", &[], CAT),
        ],
    );
}

#[test]
fn lua_strings_and_commands() {
    check(
        Lua,
        &[
            ("print(io.open('/etc/shadow'):read('*a'))", SHADOW, &[]),
            ("io.open('/etc/'..'shadow')", SHADOW, &[]),
            ("io.open [[/etc/shadow]]", SHADOW, &[]),
            ("io.open([==[/etc/shadow]==])", SHADOW, &[]),
            ("io.open'/etc/shadow'", SHADOW, &[]),
            ("io.open(string.char(47,101,116,99)..'/shadow')", SHADOW, &[]),
            ("io.open(string.char(table.unpack({47,101,116,99}))..'/shadow')", SHADOW, &[]),
            ("io.open(string.reverse('wodahs/cte/'))", SHADOW, &[]),
            ("io.open(('wodahs/cte/'):reverse())", SHADOW, &[]),
            ("io.open(('/etc/XX'):gsub('XX','shadow'))", SHADOW, &[]),
            ("io.open((('/e.t.c/shadow'):gsub('%.','')))", SHADOW, &[]),
            ("io.open(('/ETC/SHADOW'):lower())", SHADOW, &[]),
            ("io.open(('xx/etc/shadow'):sub(3))", SHADOW, &[]),
            ("io.open('\\047etc\\x2fshadow')", SHADOW, &[]),
            ("io.open('/etc/\\z\n   shadow')", SHADOW, &[]),
            ("io.open('\\u{2f}etc/shadow')", SHADOW, &[]),
            ("local d,f='/etc/','shadow' io.open(d..f)", SHADOW, &[]),
            ("local d='/etc/' local f='shadow' io.open(d..f)", SHADOW, &[]),
            ("io.open(table.concat({'/etc','shadow'},'/'))", SHADOW, &[]),
            ("io.open(string.format('/%s/%s','etc','shadow'))", SHADOW, &[]),
            (
                "for _,f in ipairs({'shadow','passwd'}) do io.open('/etc/'..f) end",
                &["/etc/shadow", "/etc/passwd"],
                &[],
            ),
            ("for l in io.lines('/etc/'..'shadow') do print(l) end", SHADOW, &[]),
            (
                "local s='' for _,c in ipairs{47,101,116,99} do s=s..string.char(c) end io.open(s..'/shadow')",
                SHADOW,
                &[],
            ),
            ("local t={d='/etc/',f='shadow'} io.open(t.d..t['f'])", SHADOW, &[]),
            ("local t={'/etc/','shadow'} io.open(t[1]..t[2])", SHADOW, &[]),
            ("os.execute('cat /etc/shadow')", &[], CAT),
            ("os.execute[[cat /etc/shadow]]", &[], CAT),
            ("io.popen('cat /etc/'..'shadow'):read('*a')", &[], CAT),
            ("load(\"os.execute('cat /etc/shadow')\")()", &[], CAT),
            ("local function f(x) return '/etc/'..x end io.open(f('shadow'))", SHADOW, &[]),
            ("_G['os']['execute']('cat /etc/shadow')", &[], CAT),
            (
                "local s='' for c in ('/etc'):gmatch('.') do s=s..c end io.open(s..'/shadow')",
                SHADOW,
                &[],
            ),
            (
                "local i,s=1,'' while i<5 do s=s..('/etc'):sub(i,i) i=i+1 end io.open(s..'/shadow')",
                SHADOW,
                &[],
            ),
            ("-- io.open('/etc/passwd')\nio.open('/etc/shadow')", SHADOW, &[]),
            ("--[[ x ]] io.open('/etc/shadow')", SHADOW, &[]),
        ],
    );
}

#[test]
fn awk_strings_and_commands() {
    check(
        Awk,
        &[
            ("BEGIN{while((getline l < \"/etc/shadow\")>0)print l}", SHADOW, &[]),
            ("BEGIN{f=\"/etc/\";f=f \"shadow\";while((getline<f)>0)print}", SHADOW, &[]),
            ("BEGIN{while((getline l<(\"/etc/\" \"shadow\"))>0)print l}", SHADOW, &[]),
            ("BEGIN{getline x < \"/etc/\" \"shadow\"}", SHADOW, &[]),
            ("BEGIN{f=sprintf(\"%cetc%cshadow\",47,47);getline<f}", SHADOW, &[]),
            ("BEGIN{f=\"/etc/\" substr(\"xxshadow\",3);getline<f}", SHADOW, &[]),
            ("BEGIN{f=tolower(\"/ETC/SHADOW\");getline<f}", SHADOW, &[]),
            ("BEGIN{f=\"\\057etc\\x2fshadow\";getline<f}", SHADOW, &[]),
            ("BEGIN{f=\"/etc/XX\";sub(/XX/,\"shadow\",f);getline<f}", SHADOW, &[]),
            ("BEGIN{f=\"/e.t.c/shadow\";gsub(/[.]/,\"\",f);getline<f}", SHADOW, &[]),
            ("BEGIN{a[1]=\"/etc/\";a[2]=\"shadow\";f=a[1] a[2];getline<f}", SHADOW, &[]),
            ("BEGIN{n=split(\"/etc shadow\",a,\" \");f=a[1] \"/\" a[2];getline<f}", SHADOW, &[]),
            ("BEGIN{system(\"cat /etc/shadow\")}", &[], CAT),
            ("BEGIN{system(\"cat \" \"/etc/shadow\")}", &[], CAT),
            ("BEGIN{c=\"cat /etc/shadow\";system(c)}", &[], CAT),
            ("BEGIN{\"cat /etc/shadow\"|getline x;print x}", &[], CAT),
            ("BEGIN{while((\"cat /etc/shadow\"|getline x)>0)print x}", &[], CAT),
            ("BEGIN{c=\"cat /etc/shadow\";while((c|getline)>0)print}", &[], CAT),
            ("BEGIN{print \"x\"|\"cat /etc/shadow\"}", &["x"], CAT),
            ("BEGIN{print \"cat /etc/shadow\"|\"sh\"}", &[], &["sh", "cat /etc/shadow"]),
            (
                "BEGIN{printf \"cat %s\\n\",\"/etc/shadow\"|\"/bin/sh\"}",
                &[],
                &["/bin/sh", "cat /etc/shadow\n"],
            ),
            ("{print $1 > \"/etc/shadow\"}", SHADOW, &[]),
            ("function f(x){return \"/etc/\" x} BEGIN{p=f(\"shadow\");getline<p}", SHADOW, &[]),
            ("BEGIN{f=ENVIRON[\"D\"] \"/shadow\";getline<f}", &["…/shadow"], &[]),
            ("BEGIN{x=1;f=(x?\"/etc/shadow\":\"/x\");getline<f}", SHADOW, &[]),
            ("/\"/{print} BEGIN{getline<\"/etc/shadow\"}", SHADOW, &[]),
            (
                "BEGIN{s=\"\";n=split(\"47 101 116 99\",a);for(i=1;i<=n;i++)s=s sprintf(\"%c\",a[i]+0);f=s \"/shadow\";getline<f}",
                SHADOW,
                &[],
            ),
            ("{print $1}", &[], &[]),
            ("BEGIN{ARGV[1]=\"/etc/shadow\";ARGC=2}{print}", SHADOW, &[]),
        ],
    );
}

#[test]
fn only_the_largest_strings_are_told() {
    for (language, code, texts) in [
        (Python, "open('/etc/'+'shadow')", &["/etc/shadow"][..]),
        (Python, "a='/etc';b='/shadow';open(a+b)", &["/etc/shadow"]),
        (Python, "open('/a');open('/b');open('/a')", &["/a", "/b"]),
        (Perl, "$d='/etc';open(F,\"$d/shadow\")", &["/etc/shadow"]),
        (Ruby, "puts File.read(%w[/etc shadow].join('/'))", &["/etc/shadow"]),
        (Node, "fs.readFileSync(['/etc','shadow'].join('/'))", &["/etc/shadow"]),
        (Php, "readfile(implode('/',['/etc','shadow']));", &["/etc/shadow"]),
        (Lua, "io.open(table.concat({'/etc','shadow'},'/'))", &["/etc/shadow"]),
        (Awk, "BEGIN{f=\"/etc/\" \"shadow\";getline<f}", &["/etc/shadow"]),
        (Python, "import os;os.system('cat /etc/shadow')", &[]),
        (Python, "unused='/etc/shadow'", &["/etc/shadow"]),
        (Python, "a='/etc/shadow';a='/x';open(a)", &["/etc/shadow", "/x"]),
    ] {
        assert_eq!(shown(&read(language, code, &[]).texts), texts, "{code}");
    }
}

#[test]
fn arguments_take_the_place_of_the_words_of_the_command_line() {
    for (language, code, arguments, text) in [
        (Python, "import sys;open('/etc/'+sys.argv[1])", &["shadow"][..], "/etc/shadow"),
        (Python, "from sys import argv;open(argv[1]+argv[2])", &["/etc/", "shadow"], "/etc/shadow"),
        (Perl, "open(F,\"/etc/$ARGV[0]\")", &["shadow"], "/etc/shadow"),
        (Perl, "$f=shift;open(F,\"/etc/$f\")", &["shadow"], "/etc/shadow"),
        (Ruby, "puts File.read('/etc/'+ARGV[0])", &["shadow"], "/etc/shadow"),
        (Node, "fs.readFileSync('/etc/'+process.argv[1])", &["shadow"], "/etc/shadow"),
        (Php, "readfile('/etc/'.$argv[1]);", &["shadow"], "/etc/shadow"),
        (Lua, "io.open('/etc/'..arg[1])", &["shadow"], "/etc/shadow"),
        (Awk, "BEGIN{f=d \"/shadow\";getline<f}", &["d=/etc"], "/etc/shadow"),
        (Python, "open(sys.argv[2]+'/shadow')", &["/etc"], "…/shadow"),
    ] {
        let arguments: Vec<Text> = arguments.iter().map(|text| Text::from(*text)).collect();
        let found = shown(&read(language, code, &arguments).texts);
        assert!(found.contains(&text.to_owned()), "{code} {found:?}");
    }
}

#[test]
fn steps_tell_how_a_string_came_to_be() {
    for (language, code, steps) in [
        (Python, "open('/etc/shadow')", &[][..]),
        (Python, "open('/etc/'+'shadow')", &[Step::OtherLanguage]),
        (Python, r"open('\x2fetc/shadow')", &[Step::EscapesDecoded, Step::OtherLanguage]),
        (
            Python,
            "open(base64.b64decode('L2V0Yy9zaGFkb3c='))",
            &[Step::Base64, Step::OtherLanguage],
        ),
        (Python, "open(bytes.fromhex('2f657463'))", &[Step::Hex, Step::OtherLanguage]),
        (Python, "open(codecs.decode('/rgp','rot13'))", &[Step::Filter, Step::OtherLanguage]),
        (Python, "open(unquote('%2Fetc'))", &[Step::PercentDecoded, Step::OtherLanguage]),
        (Python, "exec(\"open('/etc/shadow')\")", &[Step::Eval]),
        (
            Python,
            "open(zlib.decompress(base64.b64decode('eJzTTy1J1i/OSEzJLwcAFzYEIQ==')))",
            &[Step::Base64, Step::Decompressed, Step::OtherLanguage],
        ),
        (Perl, "open F,pack('H*','2f657463')", &[Step::Hex, Step::OtherLanguage]),
        (Ruby, "open('L2V0Yw=='.unpack1('m'))", &[Step::Base64, Step::OtherLanguage]),
    ] {
        let foreign = read(language, code, &[]);
        let found: Vec<Step> = foreign.texts[0].steps.iter().collect();
        assert_eq!(found, steps, "{code}");
    }
}

#[test]
fn code_that_comes_out_of_an_unknown_decoder_is_told_as_hidden() {
    for (language, code) in [
        (Python, "exec(base64.b64decode(open('x').read()))"),
        (Python, "os.system(base64.b64decode(x).decode())"),
        (Python, "exec(marshal.loads(b'abc'))"),
        (Perl, "eval(decode_base64(<STDIN>))"),
        (Node, "eval(Buffer.from(process.env.X,'base64').toString())"),
        (Php, "eval(gzinflate(base64_decode($x)));"),
    ] {
        let foreign = read(language, code, &[]);
        assert!(
            foreign.shells.iter().any(|text| text.steps.has(Step::UnknownDecoded)),
            "{code} {foreign:?}"
        );
    }
    assert!(read(Python, "exec(x)", &[]).shells.is_empty());
}

#[test]
fn interpreters_are_known_by_their_names() {
    for (program, expected) in [
        ("python", Some(Python)),
        ("python2", Some(Python)),
        ("python3.11", Some(Python)),
        ("python3.exe", Some(Python)),
        ("pypy3", Some(Python)),
        ("perl5.36", Some(Perl)),
        ("perl", Some(Perl)),
        ("ruby3", Some(Ruby)),
        ("node", Some(Node)),
        ("nodejs", Some(Node)),
        ("deno", Some(Node)),
        ("bun", Some(Node)),
        ("php8", Some(Php)),
        ("php8.2", Some(Php)),
        ("lua5.4", Some(Lua)),
        ("luajit", Some(Lua)),
        ("luajit-2.1", Some(Lua)),
        ("awk", Some(Awk)),
        ("gawk", Some(Awk)),
        ("mawk", Some(Awk)),
        ("nawk", Some(Awk)),
        ("cat", None),
        ("pythonic", None),
        ("", None),
        ("3", None),
    ] {
        assert_eq!(language(program), expected, "{program}");
    }
}

/// A small generator of pseudo-random numbers, seeded, so that a failure can be seen again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

const LANGUAGES: [Language; 7] = [Python, Perl, Ruby, Node, Php, Lua, Awk];

#[test]
fn no_code_makes_it_panic() {
    const PIECES: &[&str] = &[
        "'",
        "\"",
        "`",
        "\\",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "$",
        "@",
        "%",
        "#{",
        "${",
        "f'",
        "r'",
        "b\"",
        "'''",
        "q(",
        "qq{",
        "qw",
        "s/",
        "tr/a-z/",
        "/",
        "//",
        "/*",
        "--[[",
        "[[",
        "]]",
        "<<A\n",
        "A\n",
        "<<<",
        "\n",
        "\n  ",
        ";",
        ",",
        ".",
        "..",
        "+",
        "-",
        "*",
        "x",
        "=",
        "=>",
        "==",
        "=~",
        "?",
        ":",
        "::",
        "|",
        "||",
        "for ",
        " in ",
        "if ",
        "else ",
        "lambda x:",
        "def f(",
        "end ",
        "do ",
        "function",
        "sub ",
        "->",
        "map",
        "chr",
        "join",
        "eval",
        "exec",
        "system",
        "print ",
        "getline ",
        "open",
        "0x",
        "1",
        "9999999999",
        "-1",
        "1.5e3",
        "é",
        "日",
        "\u{0}",
        "\\x",
        "\\u{",
        "\\N{",
        "a",
        "_",
        "$a",
        "@a",
        "%a",
        "a.b",
        "base64_decode",
        "pack('H*',",
        "[::-1]",
        "[1:",
        "%w[",
        "%x(",
        "&",
        "!",
        "~",
        "^",
        "++",
        "<",
        ">",
        "return ",
        "import a as b",
        "'/etc/'",
        "'shadow'",
        ".format(",
        ".replace(",
        ".repeat(",
        "*9999",
        ".split('')",
        ".map(",
        "x=>x",
        "foreach(",
        " as ",
        "while(1)",
        "for(;;)",
        "{}",
        "%s",
        "%-099999d",
        "tr",
        "y",
        "m",
        "v1.2",
        "?a",
        "${a",
        "$#",
        "$$",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..1_500 {
        let count = random.next(40);
        let code: String = (0..count).map(|_| PIECES[random.next(PIECES.len())]).collect();
        for language in LANGUAGES {
            read(language, &code, &[Text::from("a=b"), Text::hole()]);
        }
    }
    for _ in 0..1_000 {
        let bytes: Vec<u8> = (0..random.next(60)).map(|_| random.next(256) as u8).collect();
        let code = String::from_utf8_lossy(&bytes).into_owned();
        for language in LANGUAGES {
            read(language, &code, &[]);
        }
    }
}

#[test]
fn large_and_nested_code_stays_within_its_bounds() {
    for piece in [
        "(",
        "[",
        "{",
        "'",
        "\"",
        "`",
        "${",
        "\"#{",
        "`${",
        "f'{",
        "$a[",
        "\"$a[",
        "-",
        "!",
        "a=",
        "a?b:",
        "a(",
        "a.b(",
        "lambda:",
        "x=>",
        "'a'+",
        "'a'.",
        "function(){",
        "do ",
        "/[",
        "<<A ",
        "%w[",
        "q(",
        "s/",
        "[[",
        "--[[",
        "/*",
        "a if b else ",
        "for x in ",
        "'a' ",
        "exec('",
        "\\",
        "a=[a];",
        "a=a+a;",
        "a='x'*9;",
        "a.b",
        "{'a':",
        "a,",
        "\n",
        "%",
        "$",
        "@{",
        "map{",
        "->(",
        "x.each do |a| ",
        "def f(a):",
        "for(;;)",
        "while(a<9)",
        "a+='b';",
        "<",
        "=begin",
        "@a=(@a,1,2);",
        "$x.=$x;",
        "while(",
        "while a",
        "]while(1)",
        "for(a;",
        "foreach(",
        "while while ",
        "push(@a,",
        "a.push(",
        "a<<a;",
    ] {
        // Deeper by far than what is followed; the time of the largest code is a benchmark's.
        let code = piece.repeat(1_500 / piece.len());
        for language in LANGUAGES {
            let foreign = read(language, &code, &[]);
            let told: usize = foreign.texts.iter().chain(&foreign.shells).map(Text::len).sum();
            assert!(told <= OUTPUT_MAX_BYTES, "{piece} {told}");
        }
    }
    let code = "a+='0123456789';x(a);".repeat(CODE_MAX_BYTES / 21 + 1);
    let foreign = read(Python, &code, &[]);
    assert!(foreign.incomplete);
    assert!(foreign.texts.iter().map(Text::len).sum::<usize>() <= OUTPUT_MAX_BYTES);
}

#[test]
fn what_is_beyond_the_bounds_is_said() {
    let deep = format!("{}'/etc/shadow'{}", "(".repeat(200), ")".repeat(200));
    let foreign = read(Python, &deep, &[]);
    assert!(foreign.incomplete);
    assert_eq!(shown(&foreign.texts), SHADOW);
    let long = format!("{}open('/etc/shadow')", " ".repeat(CODE_MAX_BYTES));
    assert!(read(Python, &long, &[]).incomplete);
    assert!(!read(Python, "open('/etc/'+'shadow')", &[]).incomplete);
}

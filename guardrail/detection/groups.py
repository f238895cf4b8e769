"""Nationalities, where a text says them of a person: not of a dish, a language or a grammar.

Source: ISO 3166-1 (countries); their adjectives and the nouns for their people after the CIA World
Factbook, "Nationality", https://www.cia.gov/the-world-factbook/field/nationality/
"""

from __future__ import annotations

from collections.abc import Iterable

from guardrail.detection.patterns import Rule, Scope
from guardrail.detection.wording import alternatives, one_of

_ADJECTIVES = (
    "afghan,albanian,algerian,american,andorran,angolan,antiguan,argentine,argentinian,armenian,"
    "aruban,australian,austrian,azerbaijani,azeri,bahamian,bahraini,bangladeshi,barbadian,belarusia"
    "n,"
    "belarusan,belgian,belizean,beninese,bermudian,bhutanese,bolivian,bosnian,botswanan,brazilian,"
    "british,bruneian,bulgarian,burkinabe,burmese,burundian,cambodian,cameroonian,canadian,"
    "cape verdean,central african,chadian,chilean,chinese,colombian,comorian,congolese,costa rican,"
    "croatian,cuban,cypriot,czech,danish,djiboutian,dominican,dutch,ecuadorian,ecuadorean,egyptian,"
    "emirati,english,equatorial "
    "guinean,eritrean,estonian,ethiopian,fijian,filipino,filipina,finnish,"
    "french,gabonese,gambian,georgian,german,ghanaian,gibraltarian,greek,greenlandic,grenadian,"
    "guatemalan,guinean,guyanese,haitian,honduran,hungarian,icelandic,indian,indonesian,iranian,"
    "iraqi,irish,israeli,italian,ivorian,jamaican,japanese,jordanian,kazakh,kazakhstani,kenyan,"
    "kittitian,korean,north korean,south "
    "korean,kosovar,kosovan,kuwaiti,kyrgyz,kyrgyzstani,lao,laotian,latvian,"
    "lebanese,liberian,libyan,liechtensteiner,lithuanian,luxembourgish,luxembourger,macanese,"
    "macedonian,malagasy,malawian,malaysian,maldivian,malian,maltese,marshallese,mauritanian,"
    "mauritian,mexican,micronesian,moldovan,monegasque,mongolian,montenegrin,moroccan,mozambican,"
    "namibian,nauruan,nepalese,nepali,new zealander,nicaraguan,nigerian,nigerien,norwegian,omani,"
    "pakistani,palauan,palestinian,panamanian,papua new guinean,paraguayan,peruvian,polish,"
    "portuguese,puerto "
    "rican,qatari,romanian,russian,rwandan,salvadoran,salvadorean,sammarinese,samoan,"
    "sao tomean,saudi,saudi arabian,scottish,senegalese,serbian,seychellois,sierra leonean,"
    "singaporean,slovak,slovakian,slovene,slovenian,solomon islander,somali,south african,"
    "south sudanese,spanish,sri lankan,sudanese,surinamese,swazi,swedish,swiss,syrian,taiwanese,"
    "tajik,tajikistani,tanzanian,thai,timorese,togolese,tongan,trinidadian,tunisian,turkish,turkmen"
    ","
    "tuvaluan,ugandan,ukrainian,uruguayan,uzbek,uzbekistani,vanuatuan,venezuelan,vietnamese,"
    "vincentian,welsh,yemeni,zambian,zimbabwean,soviet,yugoslav,czechoslovak,catalan,kurdish,tibeta"
    "n"
).split(",")
_PEOPLE = (
    "dane,swede,spaniard,pole,finn,turk,scot,briton,brit,englishman,englishwoman,frenchman,"
    "frenchwoman,dutchman,dutchwoman,irishman,irishwoman,welshman,welshwoman,scotsman,scotswoman,"
    "serb,croat,bosniak,arab,kurd,icelander,new zealander,kiwi,netherlander,filipino,greenlander"
).split(",")
_PERSON = (
    "citizen,citizens,citizenship,national,nationals,nationality,passport holder,passport "
    "holders,man,woman,men,women,boy,boys,girl,"
    "girls,guy,guys,lady,ladies,gentleman,patient,patients,student,students,immigrant,immigrants,"
    "migrant,migrants,emigrant,emigrants,refugee,refugees,expat,expats,couple,family,families,husba"
    "nd,"
    "wife,mother,father,parents,son,daughter,brother,sister,boyfriend,girlfriend,colleague,"
    "colleagues,friend,friends,neighbour,neighbor,neighbours,neighbors,nurse,doctor,worker,workers,"
    "teacher,engineer,driver,"
    "soldier,soldiers,politician,journalist,actor,actress,singer,author,writer,artist,player,"
    "footballer,businessman,businesswoman,people,person,persons,child,children,kid,kids,descent,"
    "origin,ancestry,heritage,born,employee,employees,tourist,tourists,client,customer,suspect,"
    "victim,speaker,lawyer,descended,roommate,tenant,tenants,applicant,candidate,resident,residents"
).split(",")

_GERMAN = (
    "deutsch,österreichisch,schweizerisch,türkisch,polnisch,russisch,ukrainisch,syrisch,afghanisch,"
    "irakisch,iranisch,italienisch,französisch,spanisch,portugiesisch,griechisch,rumänisch,bulgaris"
    "ch,"
    "kroatisch,serbisch,bosnisch,albanisch,ungarisch,tschechisch,slowakisch,slowenisch,niederländis"
    "ch,"
    "belgisch,dänisch,schwedisch,norwegisch,finnisch,britisch,englisch,irisch,schottisch,amerikanis"
    "ch,"
    "us-amerikanisch,kanadisch,mexikanisch,brasilianisch,argentinisch,kolumbianisch,chinesisch,"
    "japanisch,koreanisch,vietnamesisch,indisch,pakistanisch,marokkanisch,tunesisch,algerisch,"
    "ägyptisch,libanesisch,israelisch,nigerianisch,ghanaisch,eritreisch,äthiopisch,somalisch,"
    "estnisch,lettisch,litauisch,georgisch,armenisch,mazedonisch,kosovarisch,thailändisch,australis"
    "ch"
).split(",")
_GERMAN_PERSON = (
    "staatsangehöriger,staatsangehörige,staatsangehörigen,staatsangehörigkeit,staatsbürger,staatsbü"
    "rgerin,staatsbürgerschaft,"
    "frau,frauen,mann,männer,patient,patientin,student,studentin,kollege,kollegin,nachbar,nachbarin"
    ","
    "familie,eltern,mutter,vater,ehefrau,ehemann,herkunft,abstammung,pass,flüchtling,flüchtlinge"
).split(",")
_GERMANS = (
    "deutscher,deutsche,österreicher,österreicherin,schweizer,schweizerin,türke,türkin,pole,polin,"
    "russe,russin,ukrainer,ukrainerin,syrer,syrerin,afghane,afghanin,iraker,irakerin,iraner,iraneri"
    "n,"
    "italiener,italienerin,franzose,französin,spanier,spanierin,portugiese,portugiesin,grieche,"
    "griechin,rumäne,rumänin,bulgare,bulgarin,kroate,kroatin,serbe,serbin,bosnier,bosnierin,albaner"
    ","
    "albanerin,ungar,ungarin,tscheche,tschechin,slowake,slowakin,slowene,slowenin,niederländer,"
    "niederländerin,belgier,belgierin,däne,dänin,schwede,schwedin,norweger,norwegerin,finne,finnin,"
    "brite,britin,engländer,engländerin,ire,irin,schotte,schottin,amerikaner,amerikanerin,kanadier,"
    "kanadierin,mexikaner,mexikanerin,brasilianer,brasilianerin,chinese,chinesin,japaner,japanerin,"
    "koreaner,koreanerin,vietnamese,vietnamesin,inder,inderin,pakistaner,pakistanerin,marokkaner,"
    "marokkanerin,tunesier,tunesierin,algerier,algerierin,ägypter,ägypterin,libanese,libanesin,isra"
    "eli,"
    "nigerianer,nigerianerin,eritreer,eritreerin,somalier,somalierin,thailänder,thailänderin"
).split(",")
_ROMANCE = (
    "français,française,allemand,allemande,espagnol,espagnole,italien,italienne,portugais,portugais"
    "e,"
    "belge,suisse,anglais,anglaise,britannique,irlandais,irlandaise,néerlandais,néerlandaise,"
    "polonais,polonaise,russe,ukrainien,ukrainienne,roumain,roumaine,turc,turque,marocain,marocaine"
    ","
    "algérien,algérienne,tunisien,tunisienne,sénégalais,sénégalaise,ivoirien,ivoirienne,canadien,"
    "canadienne,américain,américaine,chinois,chinoise,japonais,japonaise,syrien,syrienne,libanais,"
    "libanaise,camerounais,camerounaise,malien,malienne,brésilien,brésilienne,mexicain,mexicaine,"
    "español,española,francés,francesa,alemán,alemana,italiano,italiana,portugués,portuguesa,inglés"
    ","
    "inglesa,británico,británica,irlandés,irlandesa,holandés,holandesa,polaco,polaca,ruso,rusa,"
    "ucraniano,ucraniana,rumano,rumana,turco,turca,marroquí,argelino,argelina,mexicano,mexicana,"
    "argentino,argentina,colombiano,colombiana,venezolano,venezolana,peruano,peruana,chileno,chilen"
    "a,"
    "ecuatoriano,ecuatoriana,boliviano,boliviana,cubano,cubana,dominicano,dominicana,estadounidense"
    ","
    "chino,china,japonés,japonesa,brasileño,brasileña,uruguayo,uruguaya,paraguayo,paraguaya,"
    "hondureño,hondureña,guatemalteco,guatemalteca,salvadoreño,salvadoreña,tedesco,tedesca,francese"
    ","
    "spagnolo,spagnola,portoghese,inglese,britannico,britannica,irlandese,olandese,polacco,polacca,"
    "russo,russa,ucraino,ucraina,rumeno,rumena,marocchino,marocchina,albanese,tunisino,tunisina,"
    "egiziano,egiziana,svizzero,svizzera,austriaco,austriaca,americano,americana,canadese,brasilian"
    "o,"
    "brasiliana,cinese,giapponese,senegalese,nigeriano,nigeriana,peruviano,peruviana,"
    "português,portuguesa,brasileiro,brasileira,espanhol,espanhola,francês,alemão,alemã,"
    "inglês,britânico,britânica,irlandês,holandês,polonês,polonesa,ucraniano,romeno,romena,"
    "angolano,angolana,moçambicano,moçambicana,caboverdiano,caboverdiana,japonês,chinês,chinesa"
).split(",")
_DUTCH = (
    "nederlander,nederlands,nederlandse,belg,belgisch,belgische,duitser,duits,duitse,fransman,"
    "française,frans,franse,brit,brits,britse,turk,turks,turkse,marokkaan,marokkaans,marokkaanse,"
    "pool,pools,poolse,roemeen,roemeens,roemeense,syriër,syrisch,syrische,surinamer,surinaams,"
    "surinaamse,spanjaard,spaans,spaanse,italiaan,italiaans,italiaanse,oekraïner,oekraïens,"
    "oekraïense,rus,russisch,russische,amerikaan,amerikaans,amerikaanse,chinees,chinese"
).split(",")

_LABELS = (
    "nationality,citizenship,citizen of,country of citizenship,staatsangehörigkeit,nationalität,"
    "staatsbürgerschaft,nationalité,citoyenneté,nacionalidad,ciudadanía,nazionalità,cittadinanza,"
    "nacionalidade,cidadania,nationaliteit,obywatelstwo,narodowość,nationalitet,medborgarskap,"
    "statsborgerskab,statsborgerskap,kansalaisuus,kansallisuus,státní "
    "občanství,občanství,národnost,"
    "állampolgárság,cetățenie,naționalitate,uyruk,uyruğu,državljanstvo"
).split(",")


def _listed(entries: Iterable[str]) -> str:
    """One of these, of which most are one word."""
    rows = set(entries)
    single = {entry for entry in rows if entry.isalpha()}
    if single == rows:
        return one_of(single)
    return f"(?:{alternatives(rows - single)}|{one_of(single)})"


def _last_words(*rows: list[str]) -> frozenset[str]:
    return frozenset(entry.replace("-", " ").split()[-1] for row in rows for entry in row)


_EDGE, _END = r"(?<![\p{L}\p{M}\d-])", r"(?![\p{L}\p{M}\d]|-\p{L})"
_NO_SCHEME = (
    r"(?i:(?![ ](?:ident|id(?![\p{L}])|regist|number|insur|park|team|anthem|bank|holiday|visa|tax|"
    r"library|"
    r"tv|film|movie|music|league|dynast|mytholog|day)))"
)
_ADJECTIVE = _listed(_ADJECTIVES)
_SUBJECT = (
    r"(?:i|he|she|we|they|who|you|patient|client|customer|wife|husband|mother|father|parents|"
    r"family|"
    r"boyfriend|girlfriend|partner|boss|colleague|neighbou?r|friend|tenant|applicant|candidate)"
)
_COPULA = (
    rf"(?:{_SUBJECT}(?:[ ](?:am|is|are|was|were)|['’](?:m|s|re))|born)[ ]"
    r"(?:(?:a|an|half|originally|also|actually|ethnically|now|not|of|both|part)[ ]){0,2}"
)


def group_rules() -> list[Rule]:
    """Gives the rules for nationalities said of a person."""
    return [
        _rule(
            "nationality-of-a-person",
            _last_words(_ADJECTIVES),
            rf"{_EDGE}({_ADJECTIVE})(?=(?:[ -]{_ADJECTIVE})?[ -]{_listed(_PERSON)}{_END}"
            rf"{_NO_SCHEME})",
        ),
        _rule(
            "nationality-after-is",
            _last_words(_ADJECTIVES, _PEOPLE),
            rf"(?i:{_EDGE}{_COPULA})({_listed((*_ADJECTIVES, *_PEOPLE))})"
            r"(?=[ ]?(?:[.,;:!?)\n\"”]|$)|[ ](?:and|but|by|from|with|who|or|living|so|national|"
            r"citizen|in)(?!\p{L}))",
        ),
        _rule(
            "nationality-after-label",
            _last_words(_LABELS) - {"of"} | {"citizen"},
            rf"{_EDGE}{alternatives(_LABELS)}[\"']?(?:\s?[:=|]\s?|[ ](?:is[ ]|ist[ ]|the[ ])?)"
            rf"[\"']?"
            r"(\p{Lu}[\p{L}\p{M}]{1,20}(?:[ -]\p{Lu}[\p{L}\p{M}]{1,20}){0,2})",
        ),
        _rule(
            "nationality-german",
            frozenset(
                f"{adjective}{ending}"
                for adjective in _GERMAN
                for ending in ("e", "er", "en", "em", "es")
            )
            | {"us"},
            rf"{_EDGE}({alternatives(_GERMAN)}(?:e[rnms]?))(?=[ ]{_listed(_GERMAN_PERSON)}"
            rf"{_END})",
        ),
        _rule(
            "nationality-german-noun",
            frozenset(_GERMANS),
            rf"(?i:{_EDGE}(?:ich bin|er ist|sie ist|bin|ist|gebürtige[rn]?|ein|eine|einer|einem|"
            rf"einen)[ ](?:ein[ ]|eine[ ]|gebürtige[rn]?[ ]){{0,2}})"
            rf"((?=\p{{Lu}}){_listed(_GERMANS)})(?=[ ]?(?:[.,;:!?)\n]|$)|[ ](?:und|aber|aus|"
            rf"mit|der|die|in|ist|hat|war|wohnt)(?!\p{{L}}))",
        ),
        _rule(
            "nationality-romance",
            _last_words(_ROMANCE),
            rf"(?i:{_EDGE}(?:je suis|il est|elle est|suis|de nationalité|d'origine|citoyen|"
            rf"citoyenne|soy|es de nacionalidad|"
            r"de nacionalidad|ciudadano|ciudadana|de origen|sono|è di nazionalità|di nazionalità|"
            r"cittadino|cittadina|"
            r"di origine|eu sou|sou|de nacionalidade|cidadão|cidadã|de origem)[ ])"
            rf"({_listed(_ROMANCE)}){_END}(?![ ](?:food|class))",
        ),
        _rule(
            "nationality-dutch",
            _last_words(_DUTCH),
            rf"(?i:{_EDGE}(?:ik ben|hij is|zij is|ze is|van|een|met de|de)[ ])("
            rf"{_listed(_DUTCH)})"
            r"(?=[ ](?:nationaliteit|burger|staatsburger|paspoort|vrouw|man|afkomst|komaf)(?!\p{L})"
            r")",
        ),
    ]


def _rule(name: str, words: frozenset[str], pattern: str) -> Rule:
    return Rule(
        entity="NATIONALITY",
        name=name,
        words=words,
        pattern=pattern,
        group=1,
        score=0.6,
        scope=Scope.ANYWHERE,
    )
